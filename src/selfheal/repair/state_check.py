"""The test that keeps state from outliving a call: it looks before and after, and asks twice."""

from __future__ import annotations

import ast
import json
from typing import NamedTuple

from selfheal.codebase.state_patterns import StatePattern, find_state_patterns
from selfheal.repair.problem import Place, Problem


class Watch(NamedTuple):
    """An expression that must be the same before and after a request, and the modules it needs."""

    expression: str
    modules: tuple[str, ...]


def state_check(
    problem: Problem, name: str, request_lines: list[str], fixture: str, sent: str, document: str
) -> str | None:
    """A test of what the accused functions leave behind; None where nothing can be watched.

    `request_lines` define REQUESTS, `sent` sends one through `fixture`, `document` is the
    expression of the reply's document.
    """
    watched, claims = _watched(problem)
    reads = problem.requests[-1].method in ("GET", "HEAD")
    if not watched and not claims and not reads:
        return None
    needed = {module for each in [*watched, *claims] for module in each.modules}
    modules = sorted(needed | ({"copy"} if watched else set()))
    lines = [
        f'"""{_story(problem)}"""',
        "",
        *(f"import {module}" for module in modules),
        "",
        *request_lines,
        "",
        "",
    ]
    if watched:
        lines += ["def watched():", "    return copy.deepcopy(", "        ["]
        lines += [f"            {each.expression}," for each in watched]
        lines += ["        ]", "    )", "", ""]
    lines += [
        f"def {name}({fixture}):",
        "    for method, target, body, content_type in REQUESTS[:-1]:",
        f"        {sent}",
        "    method, target, body, content_type = REQUESTS[-1]",
        *(["    before = watched()"] if watched else []),
        f"    response = {sent}",
        "    assert response.status_code < 500",
        *(["    assert watched() == before"] if watched else []),
    ]
    if reads:
        lines += [
            f"    first = {document}",
            f"    response = {sent}",
            f"    assert {document} == first",
        ]
    lines += [f"    assert {each.expression}" for each in claims]
    return "\n".join([*lines, ""])


def _watched(problem: Problem) -> tuple[list[Watch], list[Watch]]:
    """What must stay the same, and what must hold, by the shapes in the accused functions."""
    watched: list[Watch] = []
    claims: list[Watch] = []
    for place in problem.places():
        module = module_name(place.source.path)
        path = place.qualified_name
        for pattern in find_state_patterns(place.source.text, path):
            target = claims if pattern.kind == "growing_cache" else watched
            for each in _of_pattern(pattern, place, module, path):
                if each not in target:
                    target.append(each)
    return watched, claims


def _of_pattern(pattern: StatePattern, place: Place, module: str, path: str) -> list[Watch]:
    reached = f"{module}.{path}"
    if pattern.kind == "mutable_default":
        imported = f"inspect.unwrap({reached}).__defaults__"
        keyword = f"inspect.unwrap({reached}).__kwdefaults__"
        return [Watch(f"({imported}, {keyword})", ("inspect", module))]
    if pattern.kind == "shared_class_attribute":
        owner = reached.rpartition(".")[0]
        return [Watch(f"getattr({owner}, {json.dumps(pattern.name)}, None)", (module,))]
    if pattern.kind in ("module_global", "missing_copy"):
        root = pattern.name.partition("[")[0]
        if root in _containers(place):
            return [Watch(f"{module}.{root}", (module,))]
    if pattern.kind == "setting_kept":
        return _settings(pattern.name)
    if pattern.kind == "growing_cache" and pattern.name == place.function.name:
        return [Watch(f"{reached}.cache_info().maxsize is not None", (module,))]
    return []


def _settings(name: str) -> list[Watch]:
    if name == "os.chdir":
        return [Watch("os.getcwd()", ("os",))]
    if name.startswith("os.environ"):
        return [Watch("dict(os.environ)", ("os",))]
    if "getcontext" in name:
        return [Watch("decimal.getcontext()", ("decimal",))]
    return []


def _containers(place: Place) -> set[str]:
    """The names that the module binds at its top level to something that can be compared."""
    return {
        target.id
        for node in place.source.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }


def module_name(path: str) -> str:
    """The module of a file as the project's tests import it: ``src/shop/cart.py`` → ``shop.cart``."""
    parts = path.removesuffix(".py").split("/")
    if parts[0] in ("src", "lib"):
        parts = parts[1:]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def _story(problem: Problem) -> str:
    judged = problem.requests[-1]
    where = f"{judged.method} {judged.path}".replace("\\", "/").replace('"', "'")
    return f"{where} left state behind that later requests saw."
