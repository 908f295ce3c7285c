"""Parts of the MedGAN module: REST client, MRML logic, views, and the pieces the panel is built from."""
