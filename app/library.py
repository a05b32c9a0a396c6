"""The models of this machine and those worth fetching: what each is, whether it fits, and what is done with them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import weights
from app.downloads import DownloadState
from app.errors import AppError
from app.model_facts import ModelFacts, Verdict, estimated_memory, inspect, placement, verdict
from app.models import Models
from engine.native import code_is_ready
from engine.units import gigabytes
from weights import CATALOG, SUGGESTIONS, Installed, UnknownModel, WeightsError

# "listed": not on disk, but in the catalog or among the suggestions. "given": by its path, at the start.
Kind = Literal["catalog", "hub", "own", "given", "listed"]
GONE = "its files are not on disk any more: it answers until another is chosen or Fireside is started again"
# Of the models worth fetching one for each wish: the best answers, something between, the quickest.
SIZES = (2_800_000_000, 1_000_000_000, 0)


class ModelRefused(AppError):
    """What was asked for cannot be done with this model; says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that can be used, or fetched.

    name: what it is asked for by. bytes: of its files. memory: bytes it needs, 0 while that is not known; with
    `estimated` about so many. problem: one line where it cannot be used as it is. whole_bytes: of one that has arrived
    in part. reading: its header is still being looked at. suggested: 1 for the best of those that fit, and so on; 0 for
    the others.
    """

    name: str
    title: str
    kind: Kind
    licence: str = ""
    bytes: int = 0
    whole_bytes: int = 0
    family: str = ""
    parameters: int = 0
    quantization: str = ""
    bits: float = 0.0
    context: int = 0
    memory: int = 0
    estimated: bool = False
    verdict: Verdict | None = None
    problem: str = ""
    reading: bool = False
    loaded: bool = False
    suggested: int = 0


@dataclass(frozen=True, slots=True)
class Shelf:
    """All models at one moment. free_memory: bytes that a model could have, the loaded one's among them."""

    entries: tuple[Entry, ...]
    downloads: tuple[DownloadState, ...]
    free_memory: int
    free_disk: int


class ModelLibrary:
    """The models folder of a running server, beside the model that is loaded. Safe to use from any thread.

    Models are told apart by their names, which are looked up here and never taken for paths. remember: is given the
    name of each model that was chosen and loaded. given: a model outside the folder that may be loaded by its path.
    context, quantized: how models are loaded: for so many tokens, and whether in fewer bits than they are stored in.
    """

    def __init__(
        self,
        models: Models,
        folder: Path,
        remember: Callable[[str], None] = lambda name: None,
        given: Path | None = None,
        context: int | None = None,
        quantized: bool = False,
    ) -> None:
        self.models = models
        self._folder = folder
        self._remember = remember
        self._given = given
        self._context = context
        self._quantized = quantized
        self._lock = threading.Lock()
        self._chosen = ""
        self._awaited = ""
        self._facts: dict[tuple[object, ...], ModelFacts | str | None] = {}
        # Headers are read, and tokenizers proved, by one thread that nobody waits for.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="model-facts")
        models.loaded.append(self._loaded)

    def shelf(self) -> Shelf:
        """What there is; entries of which not all is known yet say so. Raises FolderNotWritable."""
        device, free = placement()
        info = self.models.info
        free += info.memory_bytes if info and not info.remote else 0
        entries = [self._entry(model, device, free) for model in self._on_disk()]
        there = {entry.name for entry in entries}
        entries += [entry for entry in _listed(device, free) if entry.name not in there]
        if info and not info.remote:
            entries = list(_mark_loaded(entries, self.models.state.name, info.name))
        disk = _free_disk(self._folder)
        downloads = [each for each in self.models.downloads.states() if each.status != "done" or each.total_bytes]
        return Shelf(tuple(_suggest(entries, disk)), tuple(downloads), free, disk)

    def use(self, name: str) -> None:
        """Have a model on disk answer from now on; raises UnknownModel, ModelRefused."""
        model = self._found(name)
        device, free = placement()
        info = self.models.info
        if info and self._answering == name:
            return
        if model.problem:
            raise ModelRefused(f"{name} cannot be used: {model.problem}")
        facts = self._read(model, device, free)
        if isinstance(facts, str):
            raise ModelRefused(f"{name} cannot be used: {facts}")
        free += info.memory_bytes if info and not info.remote else 0
        if facts and facts.memory.total > free and not self._quantized:
            smaller = facts.memory.suggested_context(free)
            help = f", or start Fireside with --context {smaller}" if smaller else ""
            raise ModelRefused(
                f"{name} needs {gigabytes(facts.memory.total)} of memory, and {gigabytes(free)} are free: "
                f"choose a smaller model, close other programs{help}"
            )
        with self._lock:
            self._chosen, self._awaited = name, ""
        self.models.switch(self.models.files(name, model.path))

    def download(self, name: str, use: bool = False) -> None:
        """Fetch a model of the catalog or the hub, or go on with it; use: load it as soon as it is there.

        Raises UnknownModel.
        """
        name = str(weights.source_named(name).name if name in CATALOG else weights.parse_reference(name))
        download = self.models.downloads.begin(name)
        if not use:
            return
        with self._lock:
            self._awaited = name

        def wait() -> None:
            while not download.wait():
                pass
            with self._lock:
                wanted = self._awaited == name and download.state.status == "done"
            if wanted:
                try:
                    self.use(name)
                except (AppError, WeightsError) as error:
                    self.models.explain(str(error))

        threading.Thread(target=wait, name="model-awaited", daemon=True).start()

    def cancel(self, name: str) -> None:
        """Give a download up, or forget how it ended; what has arrived stays."""
        self.models.downloads.cancel(name)

    def remove(self, name: str) -> None:
        """Delete a model from the disk; raises UnknownModel, FolderNotWritable, and ModelRefused for the loaded one."""
        if name == self._answering:
            raise ModelRefused(f"{name} is loaded: choose another model first")
        if any(each.name == name and each.status == "running" for each in self.models.downloads.states()):
            raise ModelRefused(f"{name} is being downloaded: cancel that first")
        if self._given is not None and name == str(self._given):
            raise ModelRefused(f"{name} lies outside the models folder: remove it there")
        weights.remove(name, self._folder)
        self.models.downloads.cancel(name)

    @property
    def _answering(self) -> str:
        """The name of this computer's model that answers: an engine elsewhere may have one that is called alike."""
        return "" if self.models.remote else self.models.state.name

    def close(self) -> None:
        """Read no more headers; one that is being read is finished first."""
        self._reader.shutdown(cancel_futures=True)

    def _loaded(self, name: str) -> None:
        with self._lock:
            chosen = self._chosen == name
        if chosen:
            self._remember(name)

    def _on_disk(self) -> list[Installed]:
        there = weights.installed(self._folder)
        if self._given is not None and all(model.path != self._given for model in there):
            size = self._given.stat().st_size if self._given.is_file() else 0
            problem = "" if self._given.exists() else "it is not there any more"
            there.append(Installed(str(self._given), "own", self._given, size, problem, ()))
        return there

    def _found(self, name: str) -> Installed:
        for model in self._on_disk():
            if model.name == name:
                return model
        raise UnknownModel(f"no model named {name!r:.120} is on disk any more: download it again, or choose another")

    def _entry(self, model: Installed, device: str, free: int) -> Entry:
        titles = {each.name: each.title for each in CATALOG.values()} | {
            each.reference: each.title for each in SUGGESTIONS
        }
        kind: Kind = "given" if model.path == self._given else model.kind
        entry = Entry(
            model.name,
            titles.get(model.name, ""),
            kind,
            licence=model.licence,
            bytes=model.bytes,
            whole_bytes=model.whole_bytes,
            problem=model.problem,
        )
        if model.problem:
            return entry
        facts = self._read(model, device, free, wait=False)
        if facts is None:
            return replace(entry, reading=True)
        if isinstance(facts, str):
            return replace(entry, problem=facts)
        return replace(
            entry,
            title=entry.title or facts.title,
            family=facts.family,
            parameters=facts.parameters,
            quantization=facts.quantization,
            bits=facts.bits,
            context=facts.context_length,
            memory=facts.memory.total,
            verdict=verdict(facts.memory.total, free),
        )

    def _read(self, model: Installed, device: str, free: int, *, wait: bool = True) -> ModelFacts | str | None:
        """What its header says; None while nobody waits and it is not known yet."""
        try:
            changed = model.path.stat().st_mtime_ns
        except OSError as error:
            return f"its files cannot be read ({error.strerror or error})"
        key = (model.path, model.bytes, changed, device, code_is_ready())

        def read() -> ModelFacts | str:
            if (known := self._facts.get(key)) is None:
                known = self._facts[key] = inspect(model.path, self._context, device, free)
            return known

        if wait:
            return read()
        with self._lock:
            if key in self._facts:
                return self._facts[key]
            self._facts[key] = None
        self._reader.submit(read)
        return None


def _listed(device: str, free: int) -> Iterator[Entry]:
    """What is worth fetching: the model Fireside comes with, and the suggestions."""
    known = [(entry.name, entry) for entry in CATALOG.values()]
    for name, each in [*known, *((suggestion.reference, suggestion) for suggestion in SUGGESTIONS)]:
        memory = estimated_memory(each, device)
        yield Entry(
            name,
            each.title,
            "listed",
            each.licence,
            each.bytes,
            family=each.family,
            parameters=each.parameters,
            quantization=each.quantization,
            bits=each.bits,
            context=each.context,
            memory=memory,
            estimated=True,
            verdict=verdict(memory, free),
        )


def _mark_loaded(entries: list[Entry], name: str, title: str) -> Iterator[Entry]:
    """With the model that answers marked, also if its files were removed meanwhile."""
    there = any(entry.name == name and entry.kind != "listed" for entry in entries)
    if not there:
        yield Entry(name, title, "own", loaded=True, problem=GONE)
    for entry in entries:
        if there or entry.name != name:
            yield replace(entry, loaded=entry.name == name)


def _suggest(entries: list[Entry], disk: int) -> Iterator[Entry]:
    """Mark the best that fit: the first listed of each size, as the suggestions are in order."""
    order = {each.reference: rank for rank, each in enumerate(SUGGESTIONS)}
    known = sorted((entry for entry in entries if entry.name in order), key=lambda entry: order[entry.name])
    fitting = [each for each in known if each.verdict == "fits" and (each.kind != "listed" or each.bytes < disk)]
    chosen: list[str] = []
    for at, least in enumerate(SIZES):
        below = SIZES[at - 1] if at else float("inf")
        chosen += [entry.name for entry in fitting if least <= entry.parameters < below][:1]
    for entry in entries:
        yield replace(entry, suggested=chosen.index(entry.name) + 1) if entry.name in chosen else entry


def _free_disk(folder: Path) -> int:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free
