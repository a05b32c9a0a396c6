"""Model files: which there are, how they come here, and whether they are what they should be."""

from __future__ import annotations

from weights.catalog import (
    CATALOG,
    DEFAULT,
    SUGGESTIONS,
    CatalogEntry,
    Suggestion,
    WheelMember,
    megabytes,
    resolve,
    source_named,
)
from weights.errors import (
    AccessDenied,
    DigestMismatch,
    DiskFull,
    DownloadFailed,
    FetchCancelled,
    FolderNotWritable,
    Offline,
    RateLimited,
    UnknownModel,
    UnsafeName,
    UnsuitableModel,
    WeightsError,
)
from weights.fetch import fetch
from weights.inventory import Installed, installed, removable, remove
from weights.obtain import obtain
from weights.pip_download import PipDownload
from weights.pull import find_pulled, pull
from weights.reference import HubReference, parse_reference
from weights.verify import check, digest, find

__all__ = [
    "CATALOG",
    "DEFAULT",
    "SUGGESTIONS",
    "AccessDenied",
    "CatalogEntry",
    "DigestMismatch",
    "DiskFull",
    "DownloadFailed",
    "FetchCancelled",
    "FolderNotWritable",
    "HubReference",
    "Installed",
    "Offline",
    "PipDownload",
    "RateLimited",
    "Suggestion",
    "UnknownModel",
    "UnsafeName",
    "UnsuitableModel",
    "WeightsError",
    "WheelMember",
    "check",
    "digest",
    "fetch",
    "find",
    "find_pulled",
    "installed",
    "megabytes",
    "obtain",
    "parse_reference",
    "pull",
    "removable",
    "remove",
    "resolve",
    "source_named",
]
