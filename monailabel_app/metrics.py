"""Figures about the server in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monailabel_app.jobs.job import STATES, Job
from monailabel_app.jobs.queue import JobQueue
from monailabel_app.tracing import Exchange

_JOB_S = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)


class Metrics:
    """Counts requests and jobs as they end, and asks the queue for the rest when it is read.

    Args:
        queue: of the server.
    """

    def __init__(self, queue: JobQueue) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_QueueCollector(queue))
        ProcessCollector(registry=self._registry)
        self._requests = Histogram(
            "medgan_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ("method", "route", "status"),
            buckets=_REQUEST_S,
            registry=self._registry,
        )
        self._refused = Counter(
            "medgan_refused_requests",
            "Requests that were answered with a problem document, by its code.",
            ("code",),
            registry=self._registry,
        )
        self._received = Counter(
            "medgan_received_bytes", "Bytes of the bodies of requests.", registry=self._registry
        )
        self._sent = Counter("medgan_sent_bytes", "Bytes of the bodies of answers.", registry=self._registry)
        self._jobs = Histogram(
            "medgan_job_seconds",
            "From a job's start to its end.",
            ("model", "outcome"),
            buckets=_JOB_S,
            registry=self._registry,
        )
        self._waits = Histogram(
            "medgan_job_wait_seconds",
            "From a job's submission to its start.",
            buckets=_JOB_S,
            registry=self._registry,
        )

    def text(self) -> bytes:
        """All figures, as Prometheus reads them."""
        return generate_latest(self._registry)

    def exchange(self, exchange: Exchange) -> None:
        """Count a request."""
        # Addresses that do not exist share one name: strangers must not fill the server's memory with theirs.
        method = exchange.method if exchange.route else "any"
        labels = (method, exchange.route or "none", str(exchange.status))
        self._requests.labels(*labels).observe(exchange.seconds)
        self._received.inc(exchange.received)
        self._sent.inc(exchange.sent)
        if exchange.problem:
            self._refused.labels(exchange.problem).inc()

    def job(self, job: Job) -> None:
        """Count a job that has ended; told of every change of a job."""
        if job.started is not None and job.finished is not None:
            took = (job.finished - job.started).total_seconds()
            self._jobs.labels(job.work.model, job.state).observe(took)
            self._waits.observe((job.started - job.created).total_seconds())


class _QueueCollector(Collector):
    """Jobs by state and workers by state, at the moment they are read."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterable[Metric]:
        """The gauges."""
        return self._gauges()

    def _gauges(self) -> Iterator[Metric]:
        counts = Tally(job.state for job in self._queue.jobs())
        jobs = GaugeMetricFamily("medgan_jobs", "Jobs the server knows, by state.", labels=("state",))
        for state in STATES:
            jobs.add_metric((state,), counts[state])
        yield jobs
        yield GaugeMetricFamily("medgan_queue_length", "Jobs that wait for a worker.", counts["queued"])
        workers = GaugeMetricFamily(
            "medgan_workers", "Workers, by device and state.", labels=("device", "state")
        )
        doing = Tally((str(worker["device"]), str(worker["state"])) for worker in self._queue.status())
        for labels, count in doing.items():
            workers.add_metric(labels, count)
        yield workers
