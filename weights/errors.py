"""What can go wrong with model files, as one tree.

    WeightsError
    ├── UnknownModel        no name, path, repository, revision or file is called so
    ├── UnsuitableModel     a repository of which nothing can be taken, or not without a choice
    ├── UnsafeName          a file's name that must not become a path
    ├── Offline             the package index or the hub could not be reached
    ├── AccessDenied        the hub wants a login, or the consent to the model's terms
    ├── RateLimited         the hub wants fewer requests
    ├── DownloadFailed      the download ended without the file
    ├── DigestMismatch      the bytes are not those of the catalog, or of the hub's listing
    ├── DiskFull            the file does not fit on the disk
    ├── FolderNotWritable   the models folder cannot be written
    └── FetchCancelled      the caller no longer wants the file

Every message is one line, carries the figures, and says what to do.
"""

from __future__ import annotations


class WeightsError(Exception):
    """Base of every error of `weights`; `str(error)` is one line for people."""


class UnknownModel(WeightsError):
    """No model on disk or in the catalog, path, repository of the hub, revision or file of one is called so."""


class UnsuitableModel(WeightsError):
    """A repository that holds no model in a form that is taken, or several of which one must be named."""


class UnsafeName(WeightsError):
    """A file's name from elsewhere that would leave its folder or cannot exist on every system."""


class Offline(WeightsError):
    """The package index or the hub could not be reached."""


class AccessDenied(WeightsError):
    """The hub shows this repository only to those who are logged in, or have agreed to its terms."""


class RateLimited(WeightsError):
    """The hub has had too many requests from this address or account."""


class DownloadFailed(WeightsError):
    """The download ended without the file: refused, not found, cut short or of another shape."""


class DigestMismatch(WeightsError):
    """The size or the digest of the bytes is not what the catalog or the hub says."""


class DiskFull(WeightsError):
    """There is less free space than the download needs."""


class FolderNotWritable(WeightsError):
    """The models folder cannot be made or written."""


class FetchCancelled(WeightsError):
    """The fetch was given up by its caller."""
