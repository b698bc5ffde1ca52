from __future__ import annotations

import json
import logging
import sys

from flask.testing import FlaskClient
from shop.logs import JsonFormatter


def test_health_answers(client: FlaskClient) -> None:
    assert client.get("/health").json == {"status": "ok"}


def test_unknown_paths_answer_with_a_problem(client: FlaskClient) -> None:
    reply = client.get("/nowhere")
    assert reply.status_code == 404
    assert reply.json["status"] == 404


def test_logs_are_json_with_the_traceback() -> None:
    try:
        raise RuntimeError("spilled")
    except RuntimeError:
        record = logging.LogRecord(
            "shop", logging.ERROR, "x", 1, "no %s", ("luck",), sys.exc_info()
        )
    entry = json.loads(JsonFormatter().format(record))
    assert entry["message"] == "no luck"
    assert entry["level"] == "error"
    assert "RuntimeError: spilled" in entry["exception"]
