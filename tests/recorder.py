"""Records computations on the CPU, as a GPU does in CUDA graphs."""

from __future__ import annotations

from torch.fx.experimental.proxy_tensor import make_fx

from engine.recording import WARM_UPS, Compute


class Recorder:
    """Keeps operations and addresses, but nothing that Python decides on the way; counts its recordings."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, compute: Compute) -> Compute:
        for _ in range(WARM_UPS):
            compute()
        self.count += 1
        return make_fx(compute)()
