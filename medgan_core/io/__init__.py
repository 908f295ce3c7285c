"""Volumes from files and into files; the only code here that knows file formats.

NIfTI-1 and NIfTI-2 (.nii, .nii.gz), NRRD (.nrrd), MetaImage (.mha) and DICOM series (a folder) are read,
NIfTI-1, NRRD and MetaImage are written. LPS, which all of these but NIfTI use, is converted to RAS here
alone. What comes from outside is checked before it is believed: sizes before memory is taken, compressed
streams to their last checksum, DICOM in a process of its own that may die.
"""

from medgan_core.io.layout import MAX_VOXELS, Header
from medgan_core.io.reading import read, read_header
from medgan_core.io.writing import write

__all__ = ["MAX_VOXELS", "Header", "read", "read_header", "write"]
