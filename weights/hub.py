"""A repository of the Hugging Face hub: what is in it, and its files' bytes. Every failure is an error of ours."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from weights.errors import (
    AccessDenied,
    DigestMismatch,
    DownloadFailed,
    Offline,
    RateLimited,
    UnknownModel,
    UnsuitableModel,
    WeightsError,
)
from weights.reference import HubReference

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
LOGIN = "log in with 'hf auth login', or set HF_TOKEN"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository. sha256: of what is kept with Git LFS; git_sha1: the blob id git gives to the others."""

    name: str
    bytes: int
    sha256: str | None = None
    git_sha1: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """What a repository holds at one commit. licence: as its page says, empty where it does not."""

    commit: str
    licence: str
    files: tuple[HubFile, ...]


class Interrupted(DownloadFailed):
    """The connection broke, or the hub stumbled: what has arrived is good, and asking again may help."""


class Hub:
    """One repository, read through `huggingface_hub` with the user's own settings of it (token, endpoint, proxy).

    Raises, from every method, UnknownModel, AccessDenied, RateLimited, Offline, UnsuitableModel or DownloadFailed.
    """

    def __init__(self, reference: HubReference) -> None:
        try:
            urlsplit(endpoint := os.environ.get("HF_ENDPOINT", ""))
        except ValueError as error:  # the library could not even be imported
            raise _no_address(endpoint) from error
        import huggingface_hub
        from huggingface_hub import HfApi, constants

        # The library would otherwise tell its server what else is installed, and ask it for a list of programs.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        # What it would log goes into the progress bar, and every failure comes as an error anyway.
        huggingface_hub.logging.set_verbosity_error()
        self._library = huggingface_hub
        self._api = HfApi(library_name="fireside", library_version=_version())
        self._reference = reference
        self._host = urlsplit(self._api.endpoint).netloc or self._api.endpoint

    @property
    def endpoint(self) -> str:
        return self._api.endpoint

    def listing(self) -> Listing:
        """What the repository holds at the reference's revision."""
        with self._translated():
            try:
                info = self._api.model_info(
                    self._reference.repository,
                    revision=self._reference.revision,
                    files_metadata=True,
                    timeout=self._library.constants.HF_HUB_ETAG_TIMEOUT,
                )
                return _listing(info)
            except UnicodeEncodeError as error:
                raise AccessDenied(f"your token has characters that no token has: {LOGIN}") from error
            # What the library raises for an answer of another shape.
            except (KeyError, TypeError, AttributeError, RecursionError) as error:
                raise self._no_listing() from error
            except ValueError as error:
                if isinstance(error, self._library.errors.HfHubHTTPError):
                    raise
                raise self._no_listing() from error

    @contextlib.contextmanager
    def open(self, commit: str, file: HubFile, start: int = 0) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Ask for a file from byte `start` on; gives the byte at which the answer begins, 0 or `start`, and its bytes.

        Raises Interrupted, also while the bytes are read, where it may be tried again.
        """
        url = self._library.hf_hub_url(self._reference.repository, file.name, revision=commit)
        # Compressed on the way, a file would have other sizes and offsets than its own.
        headers = {**self._headers(), "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        timeout = self._library.constants.HF_HUB_DOWNLOAD_TIMEOUT
        with (
            self._translated(file),
            self._library.get_session().stream("GET", url, headers=headers, timeout=timeout) as response,
        ):
            if response.status_code == 416:
                raise DigestMismatch(f"{file.name} ends before byte {start:,} on {self._host}: start again")
            self._library.utils.hf_raise_for_status(response)
            begin = start if response.status_code == 206 else 0
            announced = response.headers.get("Content-Range", f"bytes {begin}-")
            if not announced.startswith(f"bytes {begin}-"):
                raise DownloadFailed(
                    f"{self._host} sends {announced!r:.60} of {file.name} instead of byte {begin:,} on"
                )
            yield begin, response.iter_bytes()

    def read(self, commit: str, file: HubFile) -> bytes:
        """All bytes of a small file; raises DigestMismatch if there are more than the listing says."""
        data = bytearray()
        with self.open(commit, file) as (_, chunks):
            for chunk in chunks:
                data += chunk
                if len(data) > file.bytes:
                    raise DigestMismatch(f"{file.name} on {self._host} is longer than the {file.bytes:,} bytes listed")
        return bytes(data)

    def _headers(self) -> dict[str, str]:
        return self._library.utils.build_hf_headers(library_name="fireside", library_version=_version())

    @contextlib.contextmanager
    def _translated(self, file: HubFile | None = None) -> Iterator[None]:
        """Turn what the library raises into our errors. file: the one that is asked for, if it is not the listing."""
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
        from huggingface_hub.utils import httpx  # pyright: ignore[reportAttributeAccessIssue]

        try:
            yield
        except OfflineModeIsEnabled as error:
            raise Offline(f"cannot reach {self._host}: HF_HUB_OFFLINE is set; unset it and try again") from error
        except HfHubHTTPError as error:
            raise self._refusal(error, file) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise _no_address(self._api.endpoint) from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise Offline(
                f"cannot reach {self._host} ({_reason(error)}): connect and try again; what has arrived is kept"
            ) from error
        except httpx.HTTPError as error:
            raise Interrupted(
                f"the connection to {self._host} broke ({_reason(error)}): try again; what has arrived is kept"
            ) from error

    def _refusal(self, error: Any, file: HubFile | None) -> WeightsError:
        errors, host, repository = self._library.errors, self._host, self._reference.repository
        status = error.response.status_code
        if isinstance(error, errors.GatedRepoError):
            return AccessDenied(
                f"{repository} is gated: agree to its terms at {self._api.endpoint}/{repository}, then {LOGIN}"
            )
        if isinstance(error, errors.DisabledRepoError):
            return AccessDenied(f"{repository} was disabled on {host}: choose another model")
        if isinstance(error, errors.RevisionNotFoundError):
            return UnknownModel(f"{repository} has no revision {self._reference.revision!r:.80} on {host}")
        if status == 401:
            return AccessDenied(
                f"there is no {repository} on {host}, or it is private or your token is not valid: "
                f"check the name; to see private models, {LOGIN}"
            )
        if status == 403:
            return AccessDenied(
                f"{host} does not let you have {repository} (403): {LOGIN} with a token that may read it"
            )
        if status == 404 and file is not None:
            return DownloadFailed(f"{host} lists {file.name} in {repository}, but does not have it (404)")
        if status == 404:
            return UnknownModel(f"there is no {repository} on {host}: check the name; if it is private, {LOGIN}")
        if status == 429:
            return RateLimited(f"{host} wants fewer requests (429): try again {_when(error.response.headers)}")
        kind = Interrupted if status >= 500 else DownloadFailed
        return kind(f"{host} answers with an error ({status}): try again later; what has arrived is kept")

    def _no_listing(self) -> DownloadFailed:
        return DownloadFailed(
            f"what {self._host} answers is no listing of {self._reference.repository}: see HF_ENDPOINT"
        )


def _no_address(endpoint: str) -> Offline:
    return Offline(f"HF_ENDPOINT is {endpoint!r:.80}, which is no address: correct it")


def _listing(info: ModelInfo) -> Listing:
    if not isinstance(info.sha, str) or not COMMIT.fullmatch(info.sha):
        raise TypeError("no commit")
    if info.siblings is None:
        raise UnsuitableModel(f"{info.id!r:.80} holds no files")
    licence = getattr(info.card_data, "license", None)
    return Listing(
        commit=info.sha,
        licence=licence[:80] if isinstance(licence, str) and licence.isprintable() else "",
        files=tuple(_file(sibling) for sibling in info.siblings),
    )


def _file(sibling: RepoSibling) -> HubFile:
    size, lfs, blob = sibling.size, sibling.lfs, sibling.blob_id
    if not isinstance(sibling.rfilename, str) or isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise TypeError("a file without a name or a size")
    if lfs is None:
        return HubFile(sibling.rfilename, size, git_sha1=blob if blob and COMMIT.fullmatch(blob) else None)
    if not SHA256.fullmatch(lfs.sha256) or lfs.size != size:
        raise TypeError("a file without a digest")
    return HubFile(sibling.rfilename, size, sha256=lfs.sha256)


def _when(headers: Any) -> str:
    """When the hub lets one try again, as its headers say: https://huggingface.co/docs/hub/rate-limits."""
    reset = re.search(r";t=(\d{1,6})\b", headers.get("ratelimit", ""))
    seconds = reset[1] if reset else headers.get("retry-after", "")
    return f"in {seconds} seconds" if re.fullmatch(r"\d{1,6}", seconds) else "in some minutes"


def _reason(error: Exception) -> str:
    return str(error).split("\n")[0][:120] or type(error).__name__


def _version() -> str:
    try:
        return metadata.version("fireside")
    except metadata.PackageNotFoundError:
        return "source"
