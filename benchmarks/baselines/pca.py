"""Principal components: the linear autoencoder, and the plainest generator of whole images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_SMALLEST = 1e-10
"""Components below this share of the largest variance are rounding, not data (Gram matrix in float64)."""


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """Mean, orthonormal components and variances of a set of images; `fit` makes it.

    Args:
        mean: (d,), d voxels with channels.
        components: (rank, d), orthonormal, largest variance first.
        variances: (rank,), of the coefficients over the training images (n - 1).
        shape: of one image, (c, *spatial) or whatever was fitted.
    """

    mean: Array
    components: Array
    variances: NDArray[np.float64]
    shape: tuple[int, ...]

    @property
    def rank(self) -> int:
        """How many components there are, at most the number of training images less one."""
        return len(self.variances)

    def encode(self, images: Array, *, coefficients: int | None = None) -> Array:
        """The first coefficients of every image, (m, coefficients), in the unit of the images.

        Components are orthonormal, so an error in a coefficient is one of the same size in the image.

        Args:
            images: (m, *shape).
            coefficients: how many; None means all.
        """
        flat = images.reshape(len(images), -1) - self.mean
        return flat @ self._first(coefficients).T

    def decode(self, codes: Array) -> Array:
        """Images (m, *shape) of their first coefficients (m, k): ``mean + codes @ components``."""
        flat = self.mean + codes.astype(np.float32, copy=False) @ self._first(codes.shape[1])
        return flat.reshape(len(codes), *self.shape)

    def reconstruct(self, images: Array, *, coefficients: int | None = None) -> Array:
        """What is left of images (m, *shape) after k coefficients."""
        return self.decode(self.encode(images, coefficients=coefficients))

    def sample(self, count: int, *, seed: int, coefficients: int | None = None) -> Array:
        """Draw from the Gaussian of the training images: ``mean + components * N(0, variances)``.

        Args:
            count: how many images.
            seed: of the draw.
            coefficients: components to use; None means all that training had.

        Returns:
            (count, *shape). Values are not cut to the range of images.
        """
        used = self.variances[:coefficients]
        self._first(coefficients)
        noise = np.random.default_rng(seed).standard_normal((count, len(used)))
        return self.decode((noise * np.sqrt(used)).astype(np.float32))

    def _first(self, coefficients: int | None) -> Array:
        if coefficients is not None and not 0 <= coefficients <= self.rank:
            raise ValueError(f"{coefficients} coefficients of a basis of rank {self.rank}")
        return self.components[:coefficients]


def fit(images: Array, *, rank: int | None = None) -> PrincipalComponents:
    """Principal components through the smaller of the two Gram matrices.

    With n images of d voxels each and n < d the components are ``X^T u / |X^T u|`` of the eigenvectors u of
    X X^T, so few images of many voxels cost n^2 d.

    Source: Turk & Pentland, "Eigenfaces for recognition", J Cogn Neurosci 1991, section on computing the
    eigenfaces.

    Args:
        images: (n, *shape), n >= 2.
        rank: the most components to keep; None means all that are not rounding.

    Raises:
        ValueError: with fewer than two images, or images that are all the same.
    """
    if len(images) < 2:
        raise ValueError(f"{len(images)} image has no principal components")
    flat = images.reshape(len(images), -1)
    mean = flat.mean(axis=0, dtype=np.float64)
    centred = flat - mean
    n, d = centred.shape
    gram = centred @ centred.T if n <= d else centred.T @ centred
    values, vectors = np.linalg.eigh(gram)
    # Largest first; copied, because products with reversed strides pass BLAS by and are far slower.
    values, vectors = values[::-1], np.ascontiguousarray(vectors[:, ::-1])
    kept = int(np.count_nonzero(values > _SMALLEST * max(values[0], 0.0)))
    if values[0] <= 0:
        raise ValueError("the images are all the same, so they have no principal components")
    kept = min(kept, n - 1, d, rank or d)
    if n <= d:
        components = vectors[:, :kept].T @ centred
        components /= np.linalg.norm(components, axis=1, keepdims=True)
    else:
        components = vectors[:, :kept].T
    return PrincipalComponents(
        mean.astype(np.float32),
        np.ascontiguousarray(components, dtype=np.float32),
        values[:kept] / (n - 1),
        images.shape[1:],
    )
