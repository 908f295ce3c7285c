"""DICOM and DICOMweb: reading from a PACS, and results written back beside their sources (docs/pacs.md).

The only package that uses pydicom and highdicom.
"""
