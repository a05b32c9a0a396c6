"""Brings a model into memory with the kernels that suit it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import torch

from engine.checkpoint import Checkpoint
from engine.errors import EngineClosed, EngineError, OutOfMemory
from engine.info import NATIVE
from engine.linear import best_linear
from engine.memory import available, memory_need, require_memory
from engine.model import ForwardPass, Model
from engine.native import code_is_ready, compile_native, load_native, refusal
from engine.recording import CUDAGraphs
from engine.static_model import BATCHES, StaticModel
from engine.units import gigabytes
from engine.weight_only import KEPT, WeightOnly

# Before any engine of this process has set another number for torch.
DEFAULT_THREADS = torch.get_num_threads()

log = logging.getLogger(__name__)


def is_gpu(device: torch.device) -> bool:
    """Whether a device records its steps."""
    return device.type == "cuda"


class Loading:
    """How one checkpoint is loaded. need: the memory it takes. kernels: what computes it, once it is loaded.

    Raises EngineError if native kernels are asked for and cannot be had.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        context: int,
        device: torch.device,
        dtype: torch.dtype,
        kernels: str = "auto",
        threads: int | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._context = context
        self._device = device
        self._dtype = dtype
        self._threads = threads or DEFAULT_THREADS
        reason = refusal(checkpoint, device, dtype)
        if kernels == "native" and reason:
            raise EngineError(f"{checkpoint.name} cannot be computed by native kernels: {reason}")
        self._native = kernels != "torch" and reason is None
        by_torch = memory_need(checkpoint, context, dtype, device)
        # Code that is still to be compiled is not waited for, unless nothing else would fit.
        too_large = by_torch.total > available(device)
        self._at_once = self._native and (kernels == "native" or code_is_ready() or too_large)
        self._linear = best_linear(device, dtype)
        self.need, self.kernels = by_torch, self._linear.kernel
        if self._at_once:
            self.need, self.kernels = memory_need(checkpoint, context, dtype, device, native=True), NATIVE
        elif too_large and is_gpu(device) and checkpoint.quantization in KEPT:
            # Whole numbers are computed with sooner than they are dequantised.
            self._linear = WeightOnly
            self.need = memory_need(checkpoint, context, dtype, device, weight_only=True)
            self.kernels = WeightOnly.kernel
        self._rows: int | None = None

    def load(self, on_progress: Callable[[float], None] | None) -> ForwardPass:
        """The model, ready to compute; on_progress hears the share done, 0 to 1. Raises OutOfMemory, and what a
        damaged file raises."""
        checkpoint = self._checkpoint
        require_memory(checkpoint.name, self.need, self._device)
        try:
            if self._at_once:
                compile_native()
                model: ForwardPass = load_native(checkpoint, self._context, self._threads)
                if on_progress:
                    on_progress(1.0)
                return model
            weights = checkpoint.weights(self._dtype, self._device, on_progress, self._linear)
        except (MemoryError, RuntimeError) as error:
            raise OutOfMemory(
                f"{checkpoint.name} needs {gigabytes(self.need.weights)} for its weights, which could not be had: "
                "close other programs or choose a smaller model"
            ) from error
        model = Model(checkpoint.config, weights, self._context)
        return self._static(model) if is_gpu(self._device) else model

    def _static(self, model: Model) -> StaticModel:
        """A GPU's time goes into launching what is small: its steps are recorded, for the rows there is memory for."""
        left = available(self._device) - self.need.working
        self._rows = max(1, min(BATCHES[-1], left // self.need.kv))
        static = StaticModel(model, self._rows, CUDAGraphs(self._device))
        if static.recorded:
            self.kernels += ", CUDA graphs"
        return static

    def slots(self, most: int) -> int:
        """For how many conversations at once there is memory, `most` at most."""
        if self._rows is not None:
            return min(most, self._rows)
        return max(1, min(most, 1 + (available(self._device) - self.need.kv) // self.need.kv))

    def accelerate(self, use: Callable[[ForwardPass, str], None]) -> Acceleration | None:
        """Where native kernels are still to be compiled, do so beside the first answers, then `use` them.

        None if there is nothing to wait for.
        """
        if not self._native or self._at_once:
            return None

        def load() -> None:
            model = load_native(self._checkpoint, self._context, self._threads)
            try:
                use(model, NATIVE)
            except EngineClosed:
                model.close()

        return Acceleration(load)


class Acceleration:
    """Native kernels that are being compiled, by a process of their own, and then loaded by `load`."""

    def __init__(self, load: Callable[[], None]) -> None:
        self._load = load
        self._loading = threading.Lock()
        self._abandoned = False
        self._thread = threading.Thread(target=self._prepare, name="fireside-compile", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return once the kernels are used, or will not be."""
        self._thread.join()

    def abandon(self) -> None:
        """Load nothing any more; what is being loaded is waited for, since Python must not end in the middle of it."""
        self._abandoned = True
        with self._loading:
            pass

    def _prepare(self) -> None:
        try:
            compile_native()
            with self._loading:
                if not self._abandoned:
                    self._load()
        except Exception as error:
            # The model goes on by torch.
            log.warning("native kernels are not used: %s: %s", type(error).__name__, error)
