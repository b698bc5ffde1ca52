"""Makes the samples in this folder by running the real producers.

    python tests/resources/telemetry/make_samples.py

Run it again only to take in a newer producer; tests read what it wrote. Two files come from
producers that do not run here: `conductor-frames.json` (a part of the console log of a
conductor in a browser) and `coding-session.jsonl` (what a coding tool's exporter sent).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from selfheal.telemetry.receiver import Receiver

HERE = Path(__file__).parent

LIBRARY = """
def price(product):
    return product["price"] * product["quantity"]


def total(cart):
    return sum(price(product) for product in cart)


def checked(cart):
    try:
        return total(cart)
    except KeyError as error:
        raise ValueError(f"cart of {len(cart)} products cannot be priced") from error


def never_called():
    return 1
"""

TESTS = """
import shopping


def test_total():
    assert shopping.total([{"price": 2, "quantity": 3}]) == 6


def test_without_a_quantity():
    shopping.total([{"price": 2}])


def test_wrong_sum():
    assert shopping.total([{"price": 2, "quantity": 3}]) == 7
"""

LOGGING = """
import json, logging, sys
import shopping, structlog

def failures(log):
    log.info("started")
    for cart in ([{"price": 2}], [{"price": 3}, {"price": 4}]):
        try:
            shopping.checked(cart)
        except ValueError:
            log.exception("checkout failed")
    log.warning("ended")

class Lines(logging.Formatter):
    def format(self, record):
        row = {"asctime": self.formatTime(record), "levelname": record.levelname,
               "name": record.name, "message": record.getMessage()}
        if record.exc_info:
            row["exc_info"] = self.formatException(record.exc_info)
        return json.dumps(row)

root = logging.getLogger("shop.checkout")
root.setLevel(logging.INFO)
for file, formatter in (
    ("stdlib.log", logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")),
    ("stdlib-json.log", Lines()),
):
    handler = logging.FileHandler(file)
    handler.setFormatter(formatter)
    root.addHandler(handler)
failures(root)

for file, renderer in (("structlog.log", structlog.processors.format_exc_info),
                       ("structlog-dicts.log", structlog.processors.dict_tracebacks)):
    structlog.configure(
        processors=[structlog.processors.add_log_level,
                    structlog.processors.TimeStamper(fmt="iso"),
                    renderer, structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(file=open(file, "w")),
    )
    failures(structlog.get_logger())

try:
    raise ExceptionGroup("two", [ValueError("first"), KeyError("second")])
except ExceptionGroup:
    import traceback
    open("group.log", "w").write(traceback.format_exc())
"""


FORMATTERS = """
import logging
import shopping, structlog

PATTERNS = {
    "stdlib-default.log": logging.BASIC_FORMAT,
    "stdlib-dashes.log": "%(asctime)s - %(name)s - %(levelname)s - %(message)s",
    "stdlib-brackets.log": "[%(asctime)s] [%(levelname)s] [%(name)s] %(message)s",
}

def failures(log):
    log.info("started")
    for cart in ([{"price": 2}], [{"price": 3}, {"price": 4}]):
        try:
            shopping.checked(cart)
        except ValueError:
            log.exception("checkout failed")
    log.warning("ended")

root = logging.getLogger("shop.checkout")
root.setLevel(logging.INFO)
for file, pattern in PATTERNS.items():
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter(pattern))
    root.addHandler(handler)
failures(root)

for file, colors in (("structlog-console.log", False), ("structlog-colours.log", True)):
    structlog.configure(
        processors=[structlog.processors.add_log_level,
                    structlog.processors.TimeStamper(fmt="iso"),
                    structlog.dev.ConsoleRenderer(
                        colors=colors, exception_formatter=structlog.dev.plain_traceback)],
        logger_factory=structlog.WriteLoggerFactory(file=open(file, "w")),
    )
    failures(structlog.get_logger())
"""

OTLP = """
import logging, sys, time
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import (
    Counter, Histogram, MeterProvider, ObservableCounter)
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import shopping

endpoint = sys.argv[1]
resource = Resource.create({"service.name": "shop", "service.version": "1.0",
                            "service.instance.id": "a", "deployment.environment.name": "test"})

spans, records = InMemorySpanExporter(), InMemoryLogRecordExporter()
tracing, logs = TracerProvider(resource=resource), LoggerProvider(resource=resource)
tracing.add_span_processor(SimpleSpanProcessor(spans))
tracing.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint + "/v1/traces")))
logs.add_log_record_processor(SimpleLogRecordProcessor(records))
logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint + "/v1/logs")))
logger = logging.getLogger("shop.checkout")
logger.setLevel(logging.INFO)
logger.addHandler(LoggingHandler(logger_provider=logs))
tracer = tracing.get_tracer("shop")
for number in range(3):
    with tracer.start_as_current_span(
        "POST /orders", kind=trace.SpanKind.SERVER,
        attributes={"http.request.method": "POST", "http.route": "/orders"},
    ) as span:
        with tracer.start_as_current_span("orders.price", attributes={
            "code.function.name": "shopping.total", "code.line.number": 6,
        }):
            logger.info("pricing %d", number)
        if number == 1:
            try:
                shopping.checked([{"price": 2}])
            except ValueError as error:
                span.record_exception(error)
                span.set_status(trace.StatusCode.ERROR, "no price")
                logger.exception("order failed")
open("traces.pb", "wb").write(encode_spans(spans.get_finished_spans()).SerializeToString())
open("logs.pb", "wb").write(encode_logs(records.get_finished_logs()).SerializeToString())

def measure(reader, exporter, rounds):
    view = View(instrument_name="*.exponential", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider([reader], resource=resource, views=[view])
    meter = provider.get_meter("shop")
    orders, stock = meter.create_counter("orders", "1"), meter.create_up_down_counter("stock", "1")
    gauge = meter.create_gauge("temperature", "Cel")
    times = [meter.create_histogram("duration", "ms"), meter.create_histogram("duration.exponential", "ms")]
    for number in range(rounds):
        orders.add(number + 1, {"currency": "EUR"})
        stock.add(-1)
        gauge.set(20.5 + number)
        for histogram in times:
            for value in (1.0, 7.5, 300.0, 0.0):
                histogram.record(value + number)
        data = reader.get_metrics_data()
        if exporter:
            exporter.export(data)
        yield encode_metrics(data).SerializeToString()
        time.sleep(0.01)

delta = {kind: AggregationTemporality.DELTA for kind in (Counter, Histogram, ObservableCounter)}
exporter = OTLPMetricExporter(endpoint + "/v1/metrics")
list(measure(InMemoryMetricReader(), exporter, 3))
with open("metrics-delta.pb", "wb") as file:
    for message in measure(InMemoryMetricReader(preferred_temporality=delta), None, 3):
        file.write(len(message).to_bytes(4, "big") + message)
"""

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log notice;
events {{}}
http {{
  log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status '
                   '$body_bytes_sent "$http_referer" "$http_user_agent" $request_time';
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    access_log {folder}/nginx-combined.log combined; access_log {folder}/nginx-timed.log timed;
    location /broken {{ return 503 "later\\n"; }}
    location / {{ return 200 "hello\\n"; }}
  }}
}}
"""

APACHE = """
ServerName localhost
ServerRoot {folder}
PidFile {folder}/apache.pid
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
DocumentRoot {folder}/www
ErrorLog {folder}/apache-error.log
LogFormat "%h %l %u %t \\"%r\\" %>s %b" common
LogFormat "%v:%p %h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" vhost_combined
CustomLog {folder}/apache-common.log common
CustomLog {folder}/apache-vhost.log vhost_combined
"""


def main() -> None:
    """Run the producers in a scratch folder and keep their files.

    nginx and Apache are taken from PATH (Debian: nginx, apache2-bin); without them their
    samples stay as they are. `APACHE_MODULES` names the folder of Apache's modules, and
    `LIBCHDB` the library of the ClickHouse engine (npm: @chdb/lib-linux-x64-gnu).
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "shopping.py").write_text(LIBRARY)
        (folder / "test_shopping.py").write_text(TESTS)
        for name, script in (("logs", LOGGING), ("formatters", FORMATTERS), ("otlp", OTLP)):
            (folder / f"{name}.py").write_text(script)
        run(folder, "-m coverage run --source=. -m pytest -q --junit-xml=junit.xml", 1)
        for command in ("json -o coverage-1.0.json", "xml -o coverage.xml", "lcov -o coverage.lcov"):
            run(folder, f"-m coverage {command} --include=*shopping.py", 0)
        for style in ("long", "short", "native", "no"):
            printed = run(folder, f"-m pytest -p no:cacheprovider --tb={style}", 1)
            (folder / f"pytest-{style}.txt").write_text(printed)
        run(folder, "logs.py", 0)
        run(folder, "formatters.py", 0)
        with Receiver(folder) as receiver:
            run(folder, f"otlp.py {receiver.endpoint}", 0)
        if shutil.which("nginx"):
            serve(folder, ["nginx", "-p", scratch, "-e", f"{scratch}/x", "-c"], NGINX)
        if shutil.which("apache2"):
            (folder / "www").mkdir()
            (folder / "www" / "index.html").write_text("hello")
            serve(folder, ["apache2", "-DFOREGROUND", "-f"], APACHE)
        if "LIBCHDB" in os.environ:
            run(folder, f"{HERE / 'clickhouse_sample.py'} {os.environ['LIBCHDB']}", 0)
        keep(folder)


def run(folder: Path, command: str, code: int) -> str:
    """Run Python with arguments; what it printed."""
    ended = subprocess.run(
        [sys.executable, *command.split()], cwd=folder, check=False, capture_output=True, text=True
    )
    assert ended.returncode == code, f"{command}: {ended.stdout}{ended.stderr}"
    return ended.stdout


def serve(folder: Path, command: list[str], configuration: str) -> None:
    """Run a web server on a free port and send it requests good and bad."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    modules = os.environ.get("APACHE_MODULES", "/usr/lib/apache2/modules")
    file = folder / f"{command[0]}.conf"
    file.write_text(configuration.format(folder=folder, port=port, modules=modules))
    server = subprocess.Popen([*command, str(file)])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.1)
        for request in (
            "GET /index.html HTTP/1.1", "GET /products/17?currency=EUR HTTP/1.1", "POST /broken HTTP/1.1",
            "GET /products/18 HTTP/1.0", "\x16\x03\x01\x02", 'GET /"quoted"/%20 HTTP/1.1',
        ):  # fmt: skip
            with socket.create_connection(("127.0.0.1", port)) as client:
                headers = "Host: shop\r\nConnection: close\r\nUser-Agent: sample/1.0 (a \"b\")\r\n\r\n"
                client.sendall(f"{request}\r\n{headers}".encode("latin-1"))
                while client.recv(4096):
                    pass
    finally:
        server.terminate()
        server.wait()


def keep(folder: Path) -> None:
    """Take the samples over, without the scratch folder's name in them."""
    for file in sorted(folder.iterdir()):
        if file.suffix == ".pb":
            # Texts have their length before them, so the name must be as long.
            assert len(str(folder)) == len("/srv/shop/sample")
            content = file.read_bytes().replace(str(folder).encode(), b"/srv/shop/sample")
            (HERE / file.name).write_bytes(content)
        elif file.suffix in (".log", ".xml", ".json", ".jsonl", ".tsv", ".lcov", ".txt"):
            text = file.read_text().replace(str(folder), "/srv/shop")
            text = text.replace(sys.prefix, "/srv/shop/.venv").replace(sys.base_prefix, "/usr")
            if "apache-error" not in file.name and "nginx-error" not in file.name:
                (HERE / file.name).write_text(text)


if __name__ == "__main__":
    main()
