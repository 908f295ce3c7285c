"""What `brain-mr-synthesize` says about itself."""

from __future__ import annotations

from medgan_core.card import (
    LABEL_MAP,
    SEGMENTATION,
    Architecture,
    DataSource,
    Domain,
    Label,
    ModelCard,
    Port,
    Setting,
    Training,
    Weights,
)
from medgan_core.physics.labels import LABEL_NAMES
from medgan_core.physics.tissues import NAMES, TISSUE_OF_LABEL
from medgan_core.preprocess import Preprocess

_COLOURS = {
    "csf": "#4a7dd1",
    "grey": "#c98a8a",
    "deep grey": "#8a5fb0",
    "pallidum": "#6d3f94",
    "white": "#efe9dc",
    "cerebellar white": "#d9cfae",
    "brainstem": "#9fb08a",
    "choroid": "#2fb5b0",
    "vessel": "#c0392b",
    "ms lesion": "#ffd400",
    "oedema": "#7fd17a",
    "tumour": "#ff6b35",
    "necrosis": "#5c4033",
    "soft": "#d7a77f",
    "skin": "#e8c39e",
    "mucosa": "#e28fa6",
    "bone": "#b9b4a6",
    "marrow": "#e6d35c",
    "vitreous": "#5fb6e0",
}
LABELS = tuple(
    Label(value=value, name=name, colour=_COLOURS[NAMES[TISSUE_OF_LABEL[value]]])
    for value, name in LABEL_NAMES.items()
)
"""What a map may hold, coloured by tissue."""

_TITLES = {
    "T1": "T1-weighted",
    "T2": "T2-weighted",
    "FLAIR": "FLAIR",
    "PD": "PD-weighted",
}


def of(name: str, architecture: Architecture, training: Training, data: tuple[DataSource, ...]) -> ModelCard:
    """The card without its figures; `data` is what was trained on."""
    return ModelCard(
        name=name,
        version="0.1.0",
        title="Brain MR from a label map",
        description="Paints a T1, T2, FLAIR or PD image of the head or brain that a label map describes, "
        "with the lesions you drew into it. The MR signal equations make the image, a network makes it look "
        "scanned. Every seed draws other tissue values and another scanner; the anatomy is that of the map.",
        task="synthesize",
        inputs=(Port(key=LABEL_MAP, title="Label map", kind="labels", required=True, labels=LABELS),),
        outputs=(
            *(
                Port(key=key, title=f"Synthetic {title}", unit="1000 = 99.5th percentile of the foreground")
                for key, title in _TITLES.items()
            ),
            Port(key=SEGMENTATION, title="Segmentation", kind="labels", labels=LABELS),
        ),
        architecture=architecture,
        preprocess=Preprocess(in_plane_mm=(0.65, 1.3), output="translated"),
        domain=Domain(
            anatomy="label map of a head or brain",
            modality="MR",
            spacing_mm=(0.3, 10.0),
            extent_mm=(20.0, 400.0),
        ),
        data=data,
        training=training,
        licence="Apache-2.0",
        figures=(),
        limits=(
            "Not for diagnosis. The images are synthetic and show nobody; nothing can be learned from them "
            "about a disease.",
            "What the label map does not tell apart, the image does not show: small vessels, nerves and "
            "meninges are texture at most.",
            "Lesions look as the mean of their kind; the variety of real ones is larger.",
            "No patient's PD image was seen: PD is refined as the other contrasts are.",
        ),
        weights=Weights(file="", sha256=""),
        settings=_settings(),
    )


def _settings() -> tuple[Setting, ...]:
    """The sequence, and how real the image is."""
    automatic = "0 draws a usual one for the contrast"
    return (
        Setting(
            key="tr",
            title="Repetition time TR, ms",
            kind="float",
            default=0.0,
            minimum=0.0,
            maximum=20000.0,
            help=automatic,
        ),
        Setting(
            key="te",
            title="Echo time TE, ms",
            kind="float",
            default=0.0,
            minimum=0.0,
            maximum=1000.0,
            help=automatic,
        ),
        Setting(
            key="ti",
            title="Inversion time TI, ms",
            kind="float",
            default=0.0,
            minimum=0.0,
            maximum=6000.0,
            help="above 0 makes it an inversion recovery; " + automatic,
        ),
        Setting(
            key="flip",
            title="Flip angle, degrees",
            kind="float",
            default=0.0,
            minimum=0.0,
            maximum=90.0,
            help="above 0 makes it a spoiled gradient echo, which has no TE here; " + automatic,
        ),
        Setting(
            key="variety",
            title="Variety of tissue",
            kind="float",
            default=0.4,
            minimum=0.0,
            maximum=1.0,
            help="how far T1, T2 and PD of a sample's tissues are from their means; 0 gives the means",
        ),
        Setting(
            key="texture",
            title="Texture",
            kind="float",
            default=0.05,
            minimum=0.0,
            maximum=0.15,
            help="how much T1, T2 and PD vary within a tissue, as a share",
        ),
        Setting(
            key="shading",
            title="Shading",
            kind="float",
            default=0.4,
            minimum=0.0,
            maximum=1.5,
            help="natural logarithm of the loss of signal in the middle of the head",
        ),
        Setting(
            key="refine",
            title="Refinement",
            kind="float",
            default=1.0,
            minimum=0.0,
            maximum=1.0,
            help="share of what the network adds; 0 gives the equations' image alone",
        ),
    )
