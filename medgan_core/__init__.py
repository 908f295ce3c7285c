"""MedGAN's engine: deep generative models applied to medical volumes."""

__version__ = "0.1.0"
