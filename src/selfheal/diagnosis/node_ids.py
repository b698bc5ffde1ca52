"""From the names that test reports give to pytest node ids that run in the repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.codebase.index import CodeIndex, is_test


def node_id(test: str, frames: list[Mapping[str, Any]], index: CodeIndex) -> str | None:
    """The pytest node id of a reported test, None where the repository has no such test file.

    `test` is ``<dotted module and classes>::<name>`` as JUnit reports have it, with the
    parametrisation in the name, or a module alone where its collection failed. Where the
    names leave several files open, the class and the function decide, then the outermost
    frame in a test (`frames`, outermost first).
    """
    owner, colons, name = test.partition("::")
    if not colons:
        owner, name = test, ""
    parts = [part for part in owner.replace("\\", "/").removesuffix(".py").split("/") if part]
    parts = [piece for part in parts for piece in part.split(".") if piece]
    fits = [
        (file, classes)
        for length in range(len(parts), 0, -1)
        for file in _files(parts[:length], index)
        if _holds(file, classes := parts[length:], name, index)
    ]
    if not fits:
        fits = [
            (file, []) for file in _framed(frames, index) if name and _holds(file, [], name, index)
        ]
    if not fits and name:
        # A test that is made when its module is imported has no definition to be found.
        fits = [(file, []) for file in _files(parts, index) if is_test(file)]
    if len(fits) > 1:
        framed = set(_framed(frames, index))
        fits = [fit for fit in fits if fit[0] in framed] or fits
    if not fits:
        return None
    file, classes = fits[0]
    return "::".join([file, *classes, *([name] if name else [])])


def _files(parts: list[str], index: CodeIndex) -> list[str]:
    """The files of a dotted module; a report made in a subfolder leaves the first folders out."""
    exact = "/".join(parts) + ".py"
    if exact in index.known:
        return [exact]
    return [file for file in index.files if file.endswith(f"/{exact}")]


def _framed(frames: list[Mapping[str, Any]], index: CodeIndex) -> list[str]:
    located = (index.locate(str(frame.get("file", ""))) for frame in frames)
    return [file for file in located if file is not None and is_test(file)]


def _holds(file: str, classes: list[str], name: str, index: CodeIndex) -> bool:
    """Whether a file defines the test, or may inherit it from a base class elsewhere."""
    if not name:
        return not classes
    function = name.partition("[")[0]
    if not classes:
        named = any(found.qualified_name == function for found in index.find(function, file))
        return named or file in index.unparsed
    wanted = ".".join(classes)
    return any(found.qualified_name == wanted for found in index.find(classes[-1], file))
