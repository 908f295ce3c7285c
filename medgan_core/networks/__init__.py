"""Networks by name: an explicit table, no class names in strings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from medgan_core.errors import ModelError
from medgan_core.networks.autoencoder import Autoencoder, VariationalAutoencoder
from medgan_core.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from medgan_core.networks.flow_unet import FlowUNet
from medgan_core.networks.hole_filler import HoleFiller
from medgan_core.networks.image_classifier import ImageClassifier
from medgan_core.networks.image_to_image import ResidualImageGenerator, UNetGenerator
from medgan_core.networks.inpainting import InpaintingGenerator
from medgan_core.networks.labelled_synthesizer import LabelledSynthesizer
from medgan_core.networks.latent_encoder import LatentEncoder
from medgan_core.networks.patch_anomaly import PatchAnomaly
from medgan_core.networks.patchgan import PatchDiscriminator
from medgan_core.networks.progressive import ProgressiveDiscriminator, ProgressiveGenerator
from medgan_core.networks.residual_gan import ResidualDiscriminator, ResidualGenerator
from medgan_core.networks.segmentation_unet import SegmentationUNet
from medgan_core.networks.slab_painter import SlabPainter
from medgan_core.networks.slab_segmenter import SlabSegmenter
from medgan_core.networks.slab_unet import SlabUNet
from medgan_core.networks.slice_refiner import SliceRefiner
from medgan_core.networks.spade import SpadeGenerator, StyleEncoder
from medgan_core.networks.super_resolution import SuperResolutionGenerator
from medgan_core.networks.volume_classifier import VolumeClassifier
from medgan_core.networks.weightless import Weightless

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "autoencoder": Autoencoder,
    "dcgan-discriminator": DCGANDiscriminator,
    "dcgan-generator": DCGANGenerator,
    "flow-unet": FlowUNet,
    "hole-filler": HoleFiller,
    "image-classifier": ImageClassifier,
    "inpainting-generator": InpaintingGenerator,
    "labelled-synthesizer": LabelledSynthesizer,
    "latent-encoder": LatentEncoder,
    "mr-variants": Weightless,
    "patch-anomaly": PatchAnomaly,
    "patch-discriminator": PatchDiscriminator,
    "progressive-discriminator": ProgressiveDiscriminator,
    "progressive-generator": ProgressiveGenerator,
    "residual-discriminator": ResidualDiscriminator,
    "residual-generator": ResidualGenerator,
    "residual-image-generator": ResidualImageGenerator,
    "segmentation-unet": SegmentationUNet,
    "slab-painter": SlabPainter,
    "slab-restorer": SlabUNet,
    "slab-segmenter": SlabSegmenter,
    "slab-unet": SlabUNet,
    "slice-refiner": SliceRefiner,
    "spade-generator": SpadeGenerator,
    "style-encoder": StyleEncoder,
    "super-resolution-generator": SuperResolutionGenerator,
    "unet-generator": UNetGenerator,
    "variational-autoencoder": VariationalAutoencoder,
    "volume-classifier": VolumeClassifier,
}


def build(name: str, options: dict[str, Any]) -> nn.Module:
    """Build a network with random weights.

    Raises:
        ModelError: when the name or an option is unknown.
    """
    if name not in BUILDERS:
        raise ModelError(
            f"No network is called {name!r}",
            expected="one of " + ", ".join(sorted(BUILDERS)),
            got=name,
            action="use the version of medgan the model was made with, or a newer one",
        )
    try:
        return BUILDERS[name](**options)
    except TypeError as error:
        raise ModelError(
            f"The network {name!r} does not take these options",
            expected="the options its class documents",
            got=f"{options}: {error}",
            action="correct the architecture in the card",
        ) from error
