"""Requirements are proposed from what is installed or offered, and names from where they are now."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repair_problems import problem_of

from selfheal.analysis.moved_names import gone_name
from selfheal.repair import Problem, edited, propose
from selfheal.repair.environment import Distribution, Environment, contains
from selfheal.repair.imports import import_statements
from selfheal.repair.index_client import install, resolve
from selfheal.repair.strategies.dependency import _fitting

CODE = "import yaml\n\n\ndef read(text):\n    return yaml.safe_load(text)\n"
MARKERS = {"python_version": "3.11", "sys_platform": "linux"}


def distribution(name: str, version: str, *requires: str, modules: str = "") -> Distribution:
    return Distribution(
        name=name, version=version, requires=list(requires), modules=(modules or name).split()
    )


def environment(*distributions: Distribution, **more: Any) -> Environment:
    installed = {each.name.lower(): each for each in distributions}
    return Environment(installed=installed, markers=MARKERS, **more)


YAML = distribution("PyYAML", "6.0.1", modules="yaml _yaml")
CLICK = distribution("click", "8.1.7", 'colorama; sys_platform == "win32"')
WEB = distribution("web", "2.0", "click>=8", 'extra-lib; extra == "all"')


def problem(
    files: dict[str, str],
    kind: str,
    found: Environment,
    *,
    code: str = CODE,
    good: dict[str, str] | None = None,
    **evidence: Any,
) -> Problem:
    manifest = next(iter(files))
    facts = {"problem": kind, "manifest": manifest, "module": "yaml", "distribution": "pyyaml"}
    made = problem_of(code, 1, facts | evidence, kind="dependency")
    return made.model_copy(
        update={
            "sources": {**made.sources, **files},
            "good_sources": good or {},
            "environment": found,
        }
    )


def results(given: Problem, path: str) -> list[str | None]:
    """The file after each edit, the likeliest first."""
    edits = sorted(propose(given), key=lambda each: -each.fit)
    changed = [edited(each, given.sources) for each in edits]
    return [after[path] for after in changed if path in after]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("click==8.1.7\n", "click==8.1.7\nPyYAML==6.0.1\n"),
        ("click>=8\nweb~=2.0\nx~=1\n", "click>=8\nPyYAML~=6.0.1\nweb~=2.0\nx~=1\n"),
        ("click\nweb\n", "click\nPyYAML\nweb\n"),
        ("", "PyYAML>=6.0.1\n"),
    ],
)
def test_a_missing_distribution_is_bound_as_its_neighbours_are(text: str, after: str) -> None:
    given = problem({"requirements.txt": text}, "missing", environment(YAML, CLICK))
    assert results(given, "requirements.txt")[0] == after


def test_what_the_index_offers_is_required_where_nothing_is_installed() -> None:
    given = problem(
        {"requirements.txt": "click==8\n"}, "missing", environment(available={"pyyaml": "6.1"})
    )
    assert results(given, "requirements.txt")[0] == "click==8\npyyaml==6.1\n"
    assert propose(given.model_copy(update={"environment": environment()})) == []


def test_a_requirement_called_as_its_module_gets_the_distributions_name() -> None:
    given = problem({"requirements.txt": "yaml>=6\n"}, "missing", environment(YAML))
    assert "PyYAML>=6\n" in results(given, "requirements.txt")


def test_files_with_hashes_and_of_development_are_left_alone() -> None:
    files = {
        "requirements.txt": "click==8 --hash=sha256:a\n",
        "requirements-dev.txt": "pytest\n",
        "requirements.in": "click\n",
    }
    given = problem(files, "missing", environment(YAML))
    assert {path for edit in propose(given) for path in edited(edit, given.sources)} == {
        "requirements.in"
    }


@pytest.mark.parametrize(
    ("before", "good", "best"),
    [
        ("PyYAML==7.0  # why\n", "PyYAML>=5\n", "PyYAML>=5  # why\n"),
        ("PyYAML==7.0\n", "", "PyYAML==6.0.1\n"),
        ("PyYAML>=7,<8\n", "", "PyYAML>=6.0.1,<8\n"),
        ("PyYAML>=5,<6\n", "", "PyYAML>=5,<7\n"),
    ],
)
def test_a_version_that_is_not_there_gives_way_to_one_that_is(
    before: str, good: str, best: str
) -> None:
    """First what the good release required; else only the clauses that exclude what is installed."""
    given = problem(
        {"requirements.txt": before},
        "wrong_version",
        environment(YAML),
        good={"requirements.txt": good} if good else None,
    )
    assert results(given, "requirements.txt")[0] == best


def test_a_conflict_is_not_solved_against_what_others_demand() -> None:
    needs = distribution("needs", "1", "PyYAML>=6.2")
    given = problem(
        {"requirements.txt": "needs\nPyYAML==6.0.1\n"},
        "conflict",
        environment(YAML, needs, available={"pyyaml": "6.3"}),
    )
    assert results(given, "requirements.txt") == ["needs\nPyYAML>=6.3\n"]


@pytest.mark.parametrize(
    ("code", "after"),
    [
        ("from lib import a, gone, b\n", "from lib import a, b\nfrom lib.new import gone\n"),
        ("from lib import gone as g\n", "from lib.new import gone as g\n"),
        (
            "import lib as l\n\nx = l.gone(1)\n",
            "import lib.new\nimport lib as l\n\nx = lib.new.gone(1)\n",
        ),
        (
            "def f():\n    from lib import a, gone\n    return gone\n",
            "def f():\n    from lib import a\n    from lib.new import gone\n    return gone\n",
        ),
    ],
)
def test_a_name_is_taken_from_where_the_installed_version_defines_it(code: str, after: str) -> None:
    given = problem(
        {"requirements.txt": "lib\n"},
        "moved_name",
        environment(homes={"lib.gone": ["lib.new"]}),
        code=code,
        module="lib",
        distribution="lib",
        exception_type="ImportError",
        message="cannot import name 'gone' from 'lib' (/site-packages/lib/__init__.py)",
    )
    assert after in results(given, "app.py")


def test_known_moves_are_reached_for_import_and_attribute_errors() -> None:
    """The table of moves of `selfheal.repair.edits` serves incidents without any test."""
    for module, code, message, after in (
        ("werkzeug", "from werkzeug import secure_filename\n", "cannot import name 'secure_filename' from 'werkzeug'", "from werkzeug.utils import secure_filename\n"),
        ("numpy", "import numpy as np\n\n\ndef f(x):\n    return np.float(x)\n", "module 'numpy' has no attribute 'float'", "import numpy as np\n\n\ndef f(x):\n    return np.float64(x)\n"),
    ):  # fmt: skip
        kind = "ImportError" if "import" in message else "AttributeError"
        given = problem({"requirements.txt": module}, "moved_name", environment(), code=code, module=module, distribution=module, exception_type=kind, message=message)  # fmt: skip
        assert after in results(given, "app.py")


def test_messages_name_the_module_and_what_it_lacks() -> None:
    assert gone_name("cannot import name 'x' from 'a.b' (/a/b.py)") == ("a.b", "x")
    assert gone_name("module 'a' has no attribute 'y'. Did you mean: 'z'?") == ("a", "y")
    assert gone_name("No module named 'a'") is None


def test_the_closure_follows_extras_and_markers() -> None:
    extra = distribution("extra-lib", "1")
    found = environment(WEB, CLICK, YAML, extra)
    assert found.closure(["web>=1"]) == {"web", "click"}
    assert found.closure(["web[all]"]) == {"web", "click", "extra-lib"}
    assert found.closure(['web; python_version < "3"']) == set()
    assert found.demands("Click") == [("web", ">=8")]
    assert [each.name for each in found.provides("yaml.loader")] == ["PyYAML"]


def test_imports_are_found_with_their_fallbacks_and_attributes() -> None:
    text = (
        "from typing import TYPE_CHECKING\n\nimport yaml as y\n\n"
        "if TYPE_CHECKING:\n    from yaml import Node\n"
        "try:\n    from yaml import CLoader as L\nexcept ImportError:\n    from yaml import Loader as L\n"
        "def f():\n    from yaml.nodes import N\n    y.other = 1\n    return y.safe_load(N)\n"
        "import yamlish\n"
    )
    assert import_statements({"a.py": text, "broken.py": "import yaml("}, ["yaml"]) == [
        "from yaml.nodes import N",
        "import yaml as y",
        "import yaml as y\ny.safe_load",
        "try:\n    from yaml import CLoader as L\nexcept ImportError:\n    from yaml import Loader as L",
    ]


@pytest.mark.parametrize("asked", ["x @ file:///etc", "-r /etc/passwd", "x --index-url=a", "../x"])
def test_neither_options_nor_addresses_reach_the_index_client(asked: str, tmp_path: Any) -> None:
    assert "no plain requirement" in str(resolve([asked], "3.11"))
    assert "no plain requirement" in str(install([asked], tmp_path, "3.11"))


clauses = st.lists(
    st.tuples(st.sampled_from([">=", "<", "<=", "==", "~=", "!=", ">"]), st.integers(0, 9), st.integers(0, 9)),
    max_size=4,
)  # fmt: skip


@given(clauses, st.integers(0, 9), st.integers(0, 9))
def test_what_replaces_a_specifier_allows_the_version_wherever_it_excluded_it(
    rows: list[tuple[str, int, int]], major: int, minor: int
) -> None:
    version = f"{major}.{minor}"
    specifier = ",".join(f"{operator}{a}.{b}" for operator, a, b in rows)
    for made, _ in _fitting(specifier, version):
        assert contains(made, version)
        assert set(made.split(",")) >= {
            each for each in specifier.split(",") if each and contains(each, version)
        }
