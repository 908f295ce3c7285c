"""The MONAI Label app and the server of MedGAN: `main.py` is the app, `medgan serve` the server."""
