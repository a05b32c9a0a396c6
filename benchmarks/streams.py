"""A hundred clients at once: whether each gets the answer that it gets alone, and how long /health takes meanwhile.

`python -m benchmarks.streams` serves a tiny random model, so that what is measured is the server, and writes
benchmarks/RESULTS-api.md. `--model` takes another, `--print` writes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from gguf import GGMLQuantizationType

from benchmarks import machine
from tests.tiny import write_tiny_llama

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("RESULTS-api.md")
STREAMS, TOKENS = 100, 64
# What is promised: the slowest in medians, and the 99th percentile of /health in seconds.
SLOWEST, HEALTH = 3.0, 0.3
LOOK_SECONDS = 0.02
START_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer as a client got it. first, seconds: until its first text and its end."""

    text: str
    first: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """alone, together: the same questions one after the other, and all at once. health: seconds of each look."""

    alone: Sequence[Stream]
    together: Sequence[Stream]
    health: Sequence[float]

    @property
    def equal(self) -> int:
        """How many answers are the same both times."""
        return sum(one.text == other.text for one, other in zip(self.alone, self.together, strict=True))

    @property
    def slowest(self) -> float:
        """In medians of all."""
        took = [stream.seconds for stream in self.together]
        return max(took) / statistics.median(took)

    @property
    def health_p99(self) -> float:
        return sorted(self.health)[int(0.99 * len(self.health))]


async def measure(address: str, streams: int = STREAMS, tokens: int = TOKENS) -> Measured:
    """Raises httpx.HTTPError, and ValueError for a stream that did not end as it should."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits, trust_env=False) as client:
        alone = [await _ask(client, number, tokens) for number in range(streams)]
        looking = asyncio.create_task(_look(client))
        together = await asyncio.gather(*(_ask(client, number, tokens) for number in range(streams)))
        looking.cancel()
        return Measured(alone, together, looking.result() if looking.done() else await looking)


async def _ask(client: httpx.AsyncClient, number: int, tokens: int) -> Stream:
    body = {
        "messages": [{"role": "user", "content": f"This is question {number}. " * (1 + number % 5)}],
        "seed": number,
        "temperature": 1.0,
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": True,
    }
    text, first, done, begun = "", 0.0, False, time.perf_counter()
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        if response.status_code != 200:
            raise ValueError(f"{response.status_code}: {(await response.aread())[:300]!r}")
        async for line in response.aiter_lines():
            data = line.removeprefix("data: ")
            done = done or data == "[DONE]"
            if not data or done:
                continue
            for choice in json.loads(data)["choices"]:
                if piece := choice["delta"].get("content"):
                    first, text = first or time.perf_counter() - begun, text + piece
    if not done:
        raise ValueError(f"stream {number} ended without [DONE]")
    return Stream(text, first, time.perf_counter() - begun)


async def _look(client: httpx.AsyncClient) -> list[float]:
    """Until it is cancelled."""
    took: list[float] = []
    try:
        while True:
            begun = time.perf_counter()
            (await client.get("/health")).raise_for_status()
            took.append(time.perf_counter() - begun)
            await asyncio.sleep(LOOK_SECONDS)
    except asyncio.CancelledError:
        return took


@contextmanager
def serving(model: Path, folder: Path) -> Iterator[str]:
    """The address of `fireside serve` with a model, once that is loaded and its kernels are compiled."""
    port = machine.free_port()
    command = [sys.executable, "-m", "app.cli", "serve", "--no-browser", "--port", str(port), "--kernels", "native"]
    command += ["--home", str(folder / "home"), "--model", str(model)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
        while not _healthy(address):
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the server has not started")
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()


def _healthy(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def report(found: Measured, command: str, model: str) -> str:
    """The page of results' table of streams."""
    streams = len(found.together)
    seconds = sorted(stream.seconds for stream in found.together)
    first = sorted(stream.first for stream in found.together)
    looks = (statistics.median(found.health), found.health_p99, max(found.health))
    where = machine.described(machine.load(), "after it")
    rows = [
        ("finished", f"{streams} of {streams}", "all"),
        ("equal to the answer alone", f"{found.equal} of {streams}", "all"),
        ("until the end, median", f"{statistics.median(seconds):.2f} s", ""),
        ("until the end, slowest", f"{seconds[-1]:.2f} s, {found.slowest:.2f} medians", f"{SLOWEST:g} medians"),
        ("until the first text, median and slowest", f"{statistics.median(first):.2f} s, {first[-1]:.2f} s", ""),
        ("alone, median", f"{statistics.median(stream.seconds for stream in found.alone) * 1000:.0f} ms", ""),
        (
            f"/health, {len(found.health)} looks: median, p99, most",
            ", ".join(f"{each * 1000:.0f}" for each in looks) + " ms",
            f"p99 {HEALTH * 1000:g} ms",
        ),
    ]
    lines = [
        f"`{command}` on {datetime.date.today()}; {where}; {model}; server and clients share the machine.",
        "",
        f"| {streams} streams at once | measured | promised |",
        "| --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--print", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny = folder / "tiny.gguf"
        model = options.model or write_tiny_llama(tiny, context=1024, quantization=GGMLQuantizationType.Q8_0)
        with serving(model, folder) as address:
            found = asyncio.run(measure(address, options.streams, options.tokens))
    text = report(found, " ".join(["python -m benchmarks.streams", *sys.argv[1:]]), model.name)
    print(text)
    if not options.print:
        _replace(RESULTS, "## Many streams", text)


def _replace(page: Path, heading: str, text: str) -> None:
    """Put a section's new text into the page, which keeps the others."""
    sections = page.read_text().split("\n## ") if page.exists() else ["# Measured: the API\n"]
    name = heading.removeprefix("## ")
    kept = [each for each in sections if not each.startswith(f"{name}\n")]
    page.write_text("\n## ".join([*(each.rstrip("\n") + "\n" for each in kept), f"{name}\n\n{text}"]))


if __name__ == "__main__":
    main()
