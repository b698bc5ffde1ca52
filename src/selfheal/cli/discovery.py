"""What ``selfheal init`` finds out about a repository, by reading it.

Nothing of the repository is run or imported: Python files are parsed (`ast`), project
files are read. Every finding says where it was found, so that a person can judge it.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IGNORED = {"node_modules", "site-packages", "__pycache__", "build", "dist", "venv"}
HEALTH_PATHS = ("/health", "/healthz", "/health/", "/livez", "/ready", "/readyz", "/ping")
CHANGELOGS = ("CHANGELOG.md", "CHANGES.md", "CHANGELOG.rst", "CHANGES.rst", "HISTORY.md", "NEWS.md")


@dataclass(frozen=True)
class Finding:
    """A value for one setting and where it was found."""

    value: Any
    found_in: str


@dataclass(frozen=True)
class Discovered:
    """Findings by dotted key; what was not found is absent."""

    findings: dict[str, Finding]
    missing: dict[str, str]


def discover(repository: Path) -> Discovered:
    """Look through a git repository for what selfheal.yaml should say."""
    python = _interpreter(repository)
    source = list(_modules(repository))
    findings: dict[str, Finding | None] = {
        "service.name": _name(repository),
        "service.start": _start_command(repository, source),
        "service.health": _health(repository, source),
        "tests.python": python,
        "tests.command": _test_command(repository),
        "tests.folder": _tests_folder(repository),
        "tests.client_fixture": _client_fixture(repository),
        "tests.sources": _packages(repository),
        "fix.changelog": _changelog(repository),
        "deploy.remote": _remote(repository),
        "deploy.base": _base_branch(repository),
        "deploy.ci_command": _ci_command(repository),
    }
    return Discovered(
        {key: finding for key, finding in findings.items() if finding is not None},
        {
            key: MISSING[key]
            for key, finding in findings.items()
            if finding is None and key in MISSING
        },
    )


MISSING = {
    "service.start": "no Flask, FastAPI, Starlette or Django application was recognised; "
    "without it nothing is measured live and rollouts end with the merge",
    "tests.client_fixture": "no conftest.py has a fixture that returns a test client; without it "
    "no regression test can be made from recorded requests",
    "tests.sources": "no Python package was found",
    "deploy.remote": "the repository has no remote to push to",
}


def _modules(repository: Path) -> Iterator[tuple[Path, ast.Module]]:
    """The Python files of the repository that parse, tests and examples left out."""
    for path in _files(repository, "*.py"):
        if path.relative_to(repository).parts[0] not in ("tests", "test", "docs", "examples"):
            tree = _parsed(path)
            if tree is not None:
                yield path, tree


def _files(repository: Path, pattern: str) -> list[Path]:
    """What git tracks or would track, the shallowest first."""
    from git import Repo

    listing = Repo(repository).git.ls_files("-co", "--exclude-standard", "--", pattern)
    paths = [Path(line) for line in listing.splitlines()]
    return [
        repository / path
        for path in sorted(paths, key=lambda path: (len(path.parts), path))
        if not IGNORED.intersection(path.parts) and (repository / path).is_file()
    ]


def _parsed(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return None


def _pyproject(repository: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def _name(repository: Path) -> Finding:
    name = _pyproject(repository).get("project", {}).get("name")
    if isinstance(name, str):
        return Finding(name, "pyproject.toml")
    return Finding(repository.resolve().name, "the folder's name")


def _interpreter(repository: Path) -> Finding | None:
    for folder in (".venv", "venv"):
        if (repository / folder / "bin" / "python").exists():
            return Finding(str(repository.resolve() / folder / "bin" / "python"), folder)
    return None


def _tests_folder(repository: Path) -> Finding | None:
    for name in ("tests", "test"):
        if (repository / name).is_dir():
            return Finding(name, f"{name}/")
    return None


def _test_command(repository: Path) -> Finding | None:
    if "pytest" in _pyproject(repository).get("tool", {}):
        return Finding(["{python}", "-m", "pytest", "-q"], "pyproject.toml")
    for name in ("pytest.ini", "conftest.py", "tests/conftest.py", "test/conftest.py"):
        if (repository / name).is_file():
            return Finding(["{python}", "-m", "pytest", "-q"], name)
    folder = _tests_folder(repository)
    tests = sorted((repository / folder.value).rglob("test_*.py")) if folder else []
    if tests:  # pytest runs unittest cases as well
        place = tests[0].relative_to(repository).as_posix()
        return Finding(["{python}", "-m", "pytest", "-q"], place)
    return None


def _packages(repository: Path) -> Finding | None:
    for base in (repository / "src", repository):
        packages = sorted(
            path.parent.name
            for path in base.glob("*/__init__.py")
            if path.parent.name not in {"tests", "test", "docs", "examples", *IGNORED}
        )
        if packages:
            place = base.relative_to(repository).as_posix()
            return Finding(packages, f"{place}/" if place != "." else "the top folder")
    return None


def _client_fixture(repository: Path) -> Finding | None:
    """The fixture whose body makes a test client, else one that is called client."""
    named: Finding | None = None
    for path in _files(repository, "*conftest.py"):
        tree = _parsed(path)
        for node in tree.body if tree else ():
            if not isinstance(node, ast.FunctionDef) or not _is_fixture(node):
                continue
            place = f"{path.relative_to(repository).as_posix()}:{node.lineno}"
            finding = Finding(node.name, place)
            body = ast.unparse(node)
            if re.search(r"\.test_client\(|\bTestClient\(|\bClient\(|ASGITransport", body):
                return finding
            if node.name in ("client", "test_client") and named is None:
                named = finding
    return named


def _is_fixture(node: ast.FunctionDef) -> bool:
    return any(
        re.match(r"(pytest\.)?fixture\b", ast.unparse(decorator))
        for decorator in node.decorator_list
    )


def _start_command(repository: Path, source: list[tuple[Path, ast.Module]]) -> Finding | None:
    if (repository / "manage.py").is_file():
        command = ["{python}", "manage.py", "runserver", "127.0.0.1:{port}", "--noreload"]
        return Finding(command, "manage.py")
    waitress = _mentions(repository, "waitress")
    for path, tree in source:
        module = _module_name(repository, path)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            place = f"{path.relative_to(repository).as_posix()}:{node.lineno}"
            target, factory = _application(tree, node)
            if target is None:
                continue
            if node.func.id == "Flask":
                return Finding(_flask(module, target, factory, waitress), place)
            if node.func.id in ("FastAPI", "Starlette"):
                options = ["--factory"] if factory else []
                return Finding(
                    [
                        "{python}",
                        "-m",
                        "uvicorn",
                        f"{module}:{target}",
                        *options,
                        "--port",
                        "{port}",
                    ],
                    place,
                )
    return None


def _flask(module: str, target: str, factory: bool, waitress: bool) -> list[str]:
    if waitress:
        options = ["--call"] if factory else []
        listen = "--listen=127.0.0.1:{port}"
        return ["{python}", "-m", "waitress", listen, *options, f"{module}:{target}"]
    application = f"{module}:{target}" + ("()" if factory else "")
    return ["{python}", "-m", "flask", "--app", application, "run", "--port", "{port}"]


def _application(tree: ast.Module, call: ast.Call) -> tuple[str | None, bool]:
    """The module's name for the application that `call` makes, and whether it is a factory."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.value is call:
            name = node.targets[0]
            return (name.id, False) if isinstance(name, ast.Name) else (None, False)
        if isinstance(node, ast.FunctionDef) and any(child is call for child in ast.walk(node)):
            required = len(node.args.args) - len(node.args.defaults)
            return (node.name, True) if required == 0 else (None, False)
    return None, False


def _module_name(repository: Path, path: Path) -> str:
    parts = list(path.relative_to(repository).with_suffix("").parts)
    if parts[0] == "src":
        parts = parts[1:]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def _mentions(repository: Path, package: str) -> bool:
    names = ["pyproject.toml", "setup.cfg", *(p.name for p in repository.glob("requirements*.txt"))]
    files = [repository / name for name in names]
    return any(package in file.read_text(errors="replace") for file in files if file.is_file())


def _health(repository: Path, source: list[tuple[Path, ast.Module]]) -> Finding | None:
    for path, tree in source:
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node.value in HEALTH_PATHS:
                place = f"{path.relative_to(repository).as_posix()}:{node.lineno}"
                return Finding(node.value, place)
    return None


def _changelog(repository: Path) -> Finding | None:
    name = next((name for name in CHANGELOGS if (repository / name).is_file()), None)
    return Finding(name, name) if name else None


def _remote(repository: Path) -> Finding | None:
    from git import Repo

    remotes = [remote.name for remote in Repo(repository).remotes]
    if not remotes:
        return None
    return Finding("origin" if "origin" in remotes else remotes[0], "git remote")


def _base_branch(repository: Path) -> Finding | None:
    from git import Repo

    repo = Repo(repository)
    remote = _remote(repository)
    if remote:
        for reference in repo.remote(remote.value).refs:
            if reference.remote_head == "HEAD":
                return Finding(reference.reference.remote_head, f"HEAD of {remote.value}")
    if repo.head.is_detached:
        return None
    return Finding(repo.active_branch.name, "the current branch")


def _ci_command(repository: Path) -> Finding | None:
    makefile = repository / "Makefile"
    if not makefile.is_file():
        return None
    targets = re.findall(r"^([\w-]+)\s*:(?!=)", makefile.read_text(errors="replace"), re.MULTILINE)
    target = next((name for name in ("ci", "check", "test") if name in targets), None)
    return Finding(["make", target], "Makefile") if target else None
