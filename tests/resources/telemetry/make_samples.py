"""Makes the samples in this folder by running the real producers.

    python tests/resources/telemetry/make_samples.py

Run it again only to take in a newer producer; tests read what it wrote.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

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


def main() -> None:
    """Run pytest, coverage, logging and structlog in a scratch folder and keep their files."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "shopping.py").write_text(LIBRARY)
        (folder / "test_shopping.py").write_text(TESTS)
        (folder / "logs.py").write_text(LOGGING)
        for command, allowed in (
            ("-m coverage run --source=. -m pytest -q --junit-xml=junit.xml", {1}),
            ("-m coverage json -o coverage-1.0.json", {0}),
            ("-m coverage xml -o coverage.xml", {0}),
            ("logs.py", {0}),
        ):
            ended = subprocess.run([sys.executable, *command.split()], cwd=folder, check=False)
            assert ended.returncode in allowed, command
        for file in sorted(folder.iterdir()):
            if file.suffix in (".log", ".xml", ".json"):
                (HERE / file.name).write_text(file.read_text().replace(scratch, "/srv/shop"))


if __name__ == "__main__":
    main()
