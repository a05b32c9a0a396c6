"""Computations of fixed shapes and addresses, recorded once and replayed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Compute = Callable[[], Tensor]
# Takes a computation, which may run several times, and returns what does the same again: it reads its inputs where
# they were and leaves its result where it left it before.
Record = Callable[[Compute], Compute]

# Runs before the recording, in which libraries choose their kernels and allocate what they work in: as many as
# https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs does.
WARM_UPS = 3


class CUDAGraphs:
    """Records CUDA graphs: one launch in place of one a kernel. They share the memory they work in, so a result is
    good until the next replay of any of them."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, compute: Compute) -> Compute:
        with torch.cuda.device(self._device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UPS):
                    compute()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            # Other threads may ask for the free memory meanwhile, which is no part of the recording.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                result = compute()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay
