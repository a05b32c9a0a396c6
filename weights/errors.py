"""What can go wrong with model files, as one tree.

    WeightsError
    ├── UnknownModel        neither a name of the catalog nor a path that exists
    ├── Offline             the package index could not be reached
    ├── DownloadFailed      the download ended without the file
    ├── DigestMismatch      the bytes are not those of the catalog
    ├── DiskFull            the file does not fit on the disk
    ├── FolderNotWritable   the models folder cannot be written
    └── FetchCancelled      the caller no longer wants the file

Every message is one line, carries the figures, and says what to do.
"""

from __future__ import annotations


class WeightsError(Exception):
    """Base of every error of `weights`; `str(error)` is one line for people."""


class UnknownModel(WeightsError):
    """Neither a name of the catalog nor a path that exists."""


class Offline(WeightsError):
    """The package index could not be reached."""


class DownloadFailed(WeightsError):
    """The download ended without the file: refused, not found, cut short or of another shape."""


class DigestMismatch(WeightsError):
    """The size or the SHA-256 of the bytes is not the catalog's."""


class DiskFull(WeightsError):
    """There is less free space than the download needs."""


class FolderNotWritable(WeightsError):
    """The models folder cannot be made or written."""


class FetchCancelled(WeightsError):
    """The fetch was given up by its caller; nothing of it is left."""
