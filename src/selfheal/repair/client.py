"""Which fixture of the project's tests answers requests, and in which style."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from selfheal.repair.problem import Client, ClientStyle
from selfheal.repair.source import FUNCTIONS

_LIKELY = ("client", "test_client", "api_client", "app_client", "http_client")
_STYLES: tuple[tuple[str, ClientStyle], ...] = (
    ("test_client(", "werkzeug"),
    ("werkzeug", "werkzeug"),
    ("flask", "werkzeug"),
    ("TestClient(", "httpx"),
    ("httpx", "httpx"),
    ("starlette", "httpx"),
    ("django", "django"),
)


def find_client(conftests: Mapping[str, str], configured: str | None, folder: str) -> Client | None:
    """The client fixture by configuration, else the likeliest one of the conftest.py files.

    `conftests` are their texts by path. A fixture that makes a framework's client is
    preferred to one that is only named so.
    """
    found: list[tuple[int, str, ClientStyle]] = []
    for path in sorted(conftests):
        text = conftests[path]
        for name, body in _fixtures(text):
            style = _style(body) or _style(text) or _by_methods(text)
            likely = _LIKELY.index(name) if name in _LIKELY else len(_LIKELY)
            if name == configured or likely < len(_LIKELY) or name.endswith("client"):
                rank = -1 if name == configured else likely + (0 if _style(body) else 10)
                found.append((rank, name, style or "unknown"))
    if configured and not any(name == configured for _, name, _ in found):
        return Client(fixture=configured, style="unknown", folder=folder)
    if not found:
        return None
    _, name, style = min(found)
    return Client(fixture=name, style=style, folder=folder)


def _fixtures(text: str) -> list[tuple[str, str]]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    return [
        (node.name, ast.unparse(node))
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS)
        and any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]


def _style(text: str) -> ClientStyle | None:
    return next((style for mark, style in _STYLES if mark in text), None)


def _by_methods(text: str) -> ClientStyle | None:
    """A client of the project's own: by the method that it offers."""
    if "def open(" in text:
        return "werkzeug"
    return "httpx" if "def request(" in text else None
