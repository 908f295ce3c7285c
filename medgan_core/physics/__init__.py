"""The physics of MR images: tissues, signal equations, noise, and what a scanner adds."""
