"""What can go wrong between this server and a PACS."""

from __future__ import annotations

from medgan_core.errors import InputError, ResourceError, UsageError


class PacsError(ResourceError):
    """Root of what a PACS does not do."""

    code = "pacs"


class PacsUnreachableError(PacsError):
    """Nobody answers at its address, not in time, or not over a connection that can be trusted."""

    code = "pacs-unreachable"


class PacsRefusedError(PacsError):
    """The PACS answers, and says no: to who asks, or to what is asked."""

    code = "pacs-refused"


class PacsAnswerError(PacsError):
    """The PACS answers something that is not DICOMweb, or fails itself."""

    code = "pacs-answer"


class NotFromPacsError(UsageError):
    """A result has no source in the PACS that it could be stored beside."""

    code = "not-from-pacs"


class UnwritableError(InputError):
    """A volume cannot be written as a DICOM object of the wanted kind."""

    code = "not-writable-as-dicom"
