"""What the API has done, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from engine import Stats

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """Counts of one server; safe to use from many threads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "fireside_api_requests", "Requests answered.", ("path", "status"), registry=self._registry
        )
        self._running = Gauge("fireside_api_answers_running", "Answers waiting or written.", registry=self._registry)
        self._tokens = Counter("fireside_api_tokens", "Tokens of finished answers.", ("kind",), registry=self._registry)
        self._first = Histogram(
            "fireside_api_time_to_first_token_seconds",
            "From the engine's queue to an answer's first token.",
            buckets=SECONDS,
            registry=self._registry,
        )
        for kind in ("prompt", "cached", "generated"):
            self._tokens.labels(kind)

    def answered(self, path: str, status: int) -> None:
        """A request to a route has its status."""
        self._requests.labels(path, str(status)).inc()

    def begun(self) -> None:
        """An answer waits for the engine."""
        self._running.inc()

    def ended(self, stats: Stats) -> None:
        """An answer that was begun has ended, whyever."""
        self._running.dec()
        self._tokens.labels("prompt").inc(stats.prompt_tokens)
        self._tokens.labels("cached").inc(stats.cached_tokens)
        self._tokens.labels("generated").inc(stats.new_tokens)
        if stats.new_tokens:
            self._first.observe(stats.ttft_seconds)

    def response(self) -> Response:
        """In Prometheus's text format."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)
