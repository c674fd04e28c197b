"""Metrics for Prometheus: requests, and what the engine has done."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from uslm.serving.protocol import SpeechEngine

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 25, 50, 100, 300)


class Metrics:
    """The numbers of one server; nothing in them is global."""

    def __init__(self, engine: SpeechEngine) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "uslm_http_requests", "Requests answered", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "uslm_http_request_seconds",
            "Time until a request was answered in full",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._first_audio = Histogram(
            "uslm_first_audio_seconds",
            "Time from a speech request to its first samples",
            buckets=SECONDS,
            registry=self._registry,
        )
        self._registry.register(_EngineCollector(engine))
        ProcessCollector(registry=self._registry)

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is one of few."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def first_audio(self, seconds: float) -> None:
        """The first samples of a request are there."""
        self._first_audio.observe(seconds)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)


class _EngineCollector(Collector):
    """Asks the engine when it is asked."""

    def __init__(self, engine: SpeechEngine) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        stats = self._engine.stats()
        gauges = {
            "active": ("Requests that are worked on", stats.active),
            "waiting": ("Requests that wait for their turn", stats.waiting),
        }
        for name, (help, value) in gauges.items():
            yield GaugeMetricFamily(f"uslm_engine_{name}", help, value=value)
        counters = {
            "steps": ("Steps of stage 1", stats.steps),
            "units": ("Units drawn in them", stats.row_steps),
            "audio_seconds": ("Speech that was made", stats.audio_seconds),
            "busy_seconds": ("Time at work", stats.busy_seconds),
            "moved": ("Requests that went on at another replica", stats.moved),
        }
        for name, (help, total) in counters.items():
            yield CounterMetricFamily(f"uslm_engine_{name}", help, value=total)
        ended = CounterMetricFamily(
            "uslm_engine_requests", "Requests by how they ended", labels=["outcome"]
        )
        for outcome in ("done", "failed", "cancelled", "timed_out", "refused"):
            ended.add_metric([outcome], getattr(stats, outcome))
        yield ended
