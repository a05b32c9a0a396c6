"""How much memory a model needs and how much there is, so that it is refused before it is loaded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch

from engine.checkpoint import Checkpoint
from engine.errors import OutOfMemory
from engine.linear import Dense, best_linear
from engine.native import native_bytes
from engine.scheduler import PREFILL_CHUNK
from engine.units import gigabytes
from engine.weight_only import FOUR_BITS, GROUP

# What libraries take besides: thread pools, allocator slack. Measured with the default model: 62 MB.
WORKING_BYTES = 128 * 2**20
# A suggested context is a multiple of this, and at least one: below, hardly a question and its answer fit.
CONTEXT_STEP = 256
# Limits of this size and above mean none: cgroup v1 writes the largest multiple of a page below 2**63.
UNLIMITED = 2**60


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes a model takes: its weights, the KV cache of one conversation of `context` tokens, room to work in."""

    weights: int
    kv: int
    context: int
    working: int

    @property
    def total(self) -> int:
        return self.weights + self.kv + self.working

    def largest_context(self, memory: int) -> int:
        """The longest context with which it would fit into `memory` bytes, 0 if none does."""
        room = max(memory - self.weights - self.working, 0)
        return room * self.context // self.kv

    def suggested_context(self, memory: int) -> int:
        """A round number of tokens with which it would fit into `memory` bytes, 0 if too few would."""
        return self.largest_context(memory) // CONTEXT_STEP * CONTEXT_STEP


def memory_need(
    checkpoint: Checkpoint,
    context: int,
    dtype: torch.dtype,
    device: torch.device,
    *,
    native: bool = False,
    weight_only: bool = False,
) -> MemoryNeed:
    """What a model needs to converse over `context` tokens, computed in `dtype` on the device.

    native: by compiled code, from weights as they are packed for it. weight_only: from `WeightOnly` matrices.

    The working space holds, for each token of a chunk of the prompt, the stream and its norms, queries, keys and
    values before and after rotation, and the gates of the MLP.
    """
    config, layout = checkpoint.config, checkpoint.layout
    numbers = checkpoint.parameters
    stored = {name.removeprefix(layout.prefix) for name in checkpoint.source.tensors}
    if f"{layout.names.head}.weight" not in stored and best_linear(device, dtype) is not Dense:
        numbers += config.vocab_size * config.hidden_size  # the embedding a second time, in the kernel's layout
    inner = config.experts.intermediate_size * config.experts.per_token if config.experts else config.intermediate_size
    heads = config.num_heads + 2 * config.num_kv_heads
    per_token = 3 * config.hidden_size + 2 * heads * config.head_dim + 3 * inner
    weights = numbers * dtype.itemsize
    if native:
        weights = native_bytes(checkpoint)
    elif weight_only:
        weights = _weight_only_bytes(checkpoint, dtype)
    return MemoryNeed(
        weights=weights,
        kv=config.kv_numbers_per_token * context * dtype.itemsize,
        context=context,
        working=PREFILL_CHUNK * per_token * dtype.itemsize + WORKING_BYTES,
    )


def _weight_only_bytes(checkpoint: Checkpoint, dtype: torch.dtype) -> int:
    """Matrices with the scales of their groups, everything else and the embedding in `dtype`."""
    layout, scale = checkpoint.layout, 8 * dtype.itemsize / GROUP
    embedding, head = f"{layout.names.embedding}.weight", f"{layout.names.head}.weight"
    bits, tied = 0.0, True
    for name, tensor in checkpoint.source.tensors.items():
        name, count = name.removeprefix(layout.prefix), prod(tensor.shape)
        tied = tied and name != head
        if len(tensor.shape) == 1 or name == embedding:
            bits += 8 * dtype.itemsize * count
        else:
            bits += (4 + 2 * scale if tensor.quantization in FOUR_BITS else 8 + scale) * count
    if tied:
        bits += (8 + scale) * checkpoint.config.vocab_size * checkpoint.config.hidden_size
    return round(bits / 8)


def require_memory(name: str, need: MemoryNeed, device: torch.device | str = "cpu") -> None:
    """Raise OutOfMemory, with the figures and what would help, unless the device has `need.total` bytes free."""
    free = available(device)
    if need.total <= free:
        return
    context = need.suggested_context(free)
    smaller = f"a smaller context (--context {context} fits) or " if context else ""
    raise OutOfMemory(
        f"{name} needs {gigabytes(need.total)} ({gigabytes(need.weights)} of weights, {gigabytes(need.kv)} of KV cache "
        f"for {need.context:,} tokens and {gigabytes(need.working)} to work in), but {gigabytes(free)} are free: "
        f"choose {smaller}a smaller model, or close other programs"
    )


def available(device: torch.device | str = "cpu", root: Path = Path("/")) -> int:
    """Bytes that can still be had on a device without taking them from others.

    On the CPU the least of: what the kernel says (page cache counts, since it gives way), what each control group
    above this process leaves (a container's limit is one), and what its own limit of address space leaves.
    root: where proc and sys are mounted.
    """
    if str(device).startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    return max(min([_system(root), *_control_groups(root), *_process_limit(root)]), 0)


def _system(root: Path) -> int:
    fields = _fields(root / "proc/meminfo")
    if "MemAvailable" in fields:
        return fields["MemAvailable"] * 1024
    import psutil  # elsewhere than on Linux

    return psutil.virtual_memory().available


def _control_groups(root: Path) -> Iterator[int]:
    """Bytes left in each memory control group this process is in, https://docs.kernel.org/admin-guide/cgroup-v2.html."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers:
            yield from _left(root / "sys/fs/cgroup", path, "memory.max", "memory.current", "")
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
            yield from _left(mount, path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


def _left(mount: Path, path: str, limit_name: str, usage_name: str, prefix: str) -> Iterator[int]:
    # A container often sees its own group mounted at the top, and a path of the host's: then only the top exists.
    names = [name for name in path.split("/") if name not in ("", ".", "..")]
    for depth in range(len(names) + 1):
        group = mount.joinpath(*names[:depth])
        limit, usage = _text(group / limit_name).strip(), _text(group / usage_name).strip()
        if not limit.isdigit() or not usage.isdigit() or int(limit) >= UNLIMITED:
            continue
        stat = _fields(group / "memory.stat")
        cache = stat.get(f"{prefix}active_file", 0) + stat.get(f"{prefix}inactive_file", 0)
        yield int(limit) - int(usage) + cache


def _process_limit(root: Path) -> Iterator[int]:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _text(root / "proc/self/statm").split()
    if limit != resource.RLIM_INFINITY and pages and pages[0].isdigit():
        yield limit - int(pages[0]) * resource.getpagesize()


def _fields(path: Path) -> dict[str, int]:
    """The numbers of a file of lines like "Name: 12 kB" or "name 12"."""
    fields: dict[str, int] = {}
    for line in _text(path).splitlines():
        words = line.replace(":", " ").split()
        if len(words) >= 2 and words[1].isdigit():
            fields[words[0]] = int(words[1])
    return fields


def _text(path: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="ascii")
    return ""
