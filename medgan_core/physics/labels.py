"""Names of the labels that the simulation knows: FreeSurfer's, those outside of the brain, lesions."""

from __future__ import annotations

_BOTH_SIDES: dict[tuple[int, int], str] = {
    (2, 41): "cerebral white matter",
    (3, 42): "cerebral cortex",
    (4, 43): "lateral ventricle",
    (5, 44): "inferior lateral ventricle",
    (7, 46): "cerebellar white matter",
    (8, 47): "cerebellar cortex",
    (10, 49): "thalamus",
    (11, 50): "caudate",
    (12, 51): "putamen",
    (13, 52): "pallidum",
    (17, 53): "hippocampus",
    (18, 54): "amygdala",
    (25, 57): "white matter lesion",
    (26, 58): "accumbens",
    (28, 60): "ventral diencephalon",
    (30, 62): "vessel",
    (31, 63): "choroid plexus",
    (136, 163): "deep grey matter, other",
    (137, 164): "basal forebrain",
}
_SINGLE: dict[int, str] = {
    14: "Third ventricle",
    15: "Fourth ventricle",
    16: "Brainstem",
    24: "Cerebrospinal fluid",
    72: "Fifth ventricle",
    77: "White matter hypointensities",
    85: "Optic chiasm",
    471: "Oedema around a tumour",
    472: "Solid or enhancing tumour",
    473: "Necrosis of a tumour",
    502: "Vessel outside of the brain",
    506: "Eye",
    507: "Soft tissue of the head",
    508: "Soft tissue, second kind",
    509: "Mucosa",
    511: "Skin",
    512: "Soft tissue, third kind",
    514: "Large vessel outside of the brain",
    515: "Bone",
    516: "Bone marrow",
    530: "Optic nerve",
}

LABEL_NAMES: dict[int, str] = dict(
    sorted(
        {
            **{left: f"Left {name}" for (left, _), name in _BOTH_SIDES.items()},
            **{right: f"Right {name}" for (_, right), name in _BOTH_SIDES.items()},
            **_SINGLE,
        }.items()
    )
)
"""By value. A coarse map uses few of them: 24, 3 and 2 for fluid, grey and white matter, 507 around them."""
