"""Figures as a collector receives them from Airflow's own OpenTelemetry client."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

_TASK = """
from datetime import timedelta
from airflow.sdk.configuration import conf
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
from image_promotion.operators import metrics

# As Airflow begins the process of a task.
stats.initialize(
    factory=stats_utils.get_stats_factory(),
    export_legacy_names=conf.getboolean("metrics", "legacy_names_on"),
)
assert metrics.are_on()
metrics.count_scan("site.to-qa", tags_seen=7)
metrics.count_decisions("site.to-qa", {"promote": 2, "wait": 1}, timedelta(hours=1))
metrics.count_stage(
    "site.to-qa", "copy", took=timedelta(seconds=2), bytes_copied=1234, verified=0
)
metrics.count_stage("site.to-qa", "verify", took=timedelta(seconds=1), bytes_copied=0, verified=2)
metrics.count_recheck("site.to-qa", looks=3, failed=1)
"""


class Collector(ThreadingHTTPServer):
    """Takes OTLP by HTTP on loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.figures: dict[tuple[str, str], float] = {}


class _Taker(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        request = ExportMetricsServiceRequest()
        request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    shape = metric.WhichOneof("data")
                    for point in getattr(metric, shape).data_points:
                        tags = {each.key: each.value.string_value for each in point.attributes}
                        number = (
                            point.sum
                            if shape == "exponential_histogram"
                            else point.as_double or point.as_int
                        )
                        self.server.figures[metric.name, tags.get("policy", "")] = number
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_collector_receives_every_figure_by_policy(collector: Collector) -> None:
    environ = os.environ | {
        "AIRFLOW__METRICS__OTEL_ON": "True",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }

    subprocess.run([sys.executable, "-c", _TASK], env=environ, check=True, timeout=120)

    expected = {
        "scanned": 7,
        "decided.promote": 2,
        "decided.wait": 1,
        "waiting_age_seconds": 3600,
        "copy.duration": 2000,
        "verify.duration": 1000,
        "bytes_copied": 1234,
        "promoted": 2,
        "rechecked": 3,
        "recheck_failed": 1,
    }
    figures = {
        name: number for name, number in collector.figures.items() if "image_promotion" in name[0]
    }
    wanted = {
        (f"airflow.image_promotion.{name}", "site.to-qa"): number
        for name, number in expected.items()
    }
    wanted |= {
        (f"airflow.image_promotion.policy.site__to-qa.{name}", ""): number
        for name, number in expected.items()
    }
    assert figures == wanted
