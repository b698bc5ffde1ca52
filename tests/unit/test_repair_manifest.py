"""Requirements are added and changed where they stand; all other characters of a manifest stay."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.repair.edit import spliced
from selfheal.repair.manifest import (
    Manifest,
    read_manifest,
    with_name,
    with_requirement,
    with_specifier,
)

PYPROJECT = """\
[build-system]
requires = ["hatchling"]

[project]
name = "kiosk"  # the shop
dependencies = [
    # for answers
    "flask>=3.0",
    'requests[socks]>=2.31; python_version >= "3.8"',  # for questions
]

[tool.other]
dependencies = ["nothing"]
"""
POETRY = """\
[tool.poetry.dependencies]
python = "^3.11"
flask = "^3.0"

[tool.poetry.group.dev.dependencies]
pytest = "*"
"""
SETUP_CFG = """\
[metadata]
name = kiosk

[options]
packages = find:
install_requires =
    flask>=3.0
    requests  # asks
python_requires = >=3.8

[options.extras_require]
all = numpy
"""
SETUP_PY = (
    'from setuptools import setup\n\nsetup(name="k", install_requires=["flask>=3.0", "requests"])\n'
)
REQUIREMENTS = """\
# run time
-r base.txt
flask==3.0.3  # web
requests==2.31.0 \\
    --hash=sha256:abc \\
    --hash=sha256:def
-e ./kiosk
https://example.org/x.whl
PyYAML ; python_version < "4"
"""


def manifest(path: str, text: str) -> Manifest:
    found = read_manifest(path, text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("path", "text", "names"),
    [
        ("pyproject.toml", PYPROJECT, ["flask", "requests"]),
        ("pyproject.toml", POETRY, ["flask"]),
        ("setup.cfg", SETUP_CFG, ["flask", "requests"]),
        ("setup.py", SETUP_PY, ["flask", "requests"]),
        ("requirements.txt", REQUIREMENTS, ["flask", "requests", "pyyaml"]),
    ],
)
def test_requirements_are_found_where_they_stand(path: str, text: str, names: list[str]) -> None:
    found = manifest(path, text)
    assert [each.name for each in found.stated] == names
    for each in found.stated:
        assert text[each.start : each.stop] == each.text
        assert each.text in text.splitlines()[each.line - 1]


def added(path: str, text: str, name: str, specifier: str) -> str:
    splice = with_requirement(manifest(path, text), name, specifier)
    assert splice is not None
    return spliced(text, [splice])


def test_a_requirement_comes_into_a_list_in_the_style_of_its_neighbours() -> None:
    assert (
        added("pyproject.toml", PYPROJECT, "click", ">=8").replace("    'click>=8',\n", "")
        == PYPROJECT
    )
    assert (
        tomllib.loads(added("pyproject.toml", PYPROJECT, "werkzeug", ""))["project"][
            "dependencies"
        ][-1]
        == "werkzeug"
    )
    short = '[project]\nname = "k"\ndependencies = ["flask"]\n'
    assert '["flask", "click>=8"]' in added("pyproject.toml", short, "click", ">=8")
    empty = short.replace('"flask"', "")
    assert '["click>=8"]' in added("pyproject.toml", empty, "click", ">=8")
    assert '["flask>=3.0", "jinja2", "requests"]' in added("setup.py", SETUP_PY, "jinja2", "")


def test_a_project_without_requirements_gets_its_first_one() -> None:
    bare = '[project]\nname = "k"\nauthors = [\n  {name = "a"},\n]\n\n# how it is built\n[tool.x]\ny = 1\n'
    after = added("pyproject.toml", bare, "click", ">=8")
    assert tomllib.loads(after)["project"]["dependencies"] == ["click>=8"]
    assert '\n]\ndependencies = ["click>=8"]\n\n# how' in after
    for text in ('[project]\nname = "k"', '[project]\r\nname = "k"\r\n'):
        after = added("pyproject.toml", text, "click", "")
        assert tomllib.loads(after.replace("\r\n", "\n"))["project"]["dependencies"] == ["click"]
    setup = "from setuptools import setup\n\nsetup(\n    name='k',\n    py_modules=['k'],\n)\n"
    assert "setup(\n    install_requires=[\"click\"],\n    name='k',\n" in added(
        "setup.py", setup, "click", ""
    )
    short = "setup(name='k')\n"
    assert (
        added("setup.py", short, "click", "") == "setup(install_requires=[\"click\"], name='k')\n"
    )
    assert read_manifest("setup.py", "setup(**options)\n") is None


def test_a_requirement_gets_a_line_of_its_own() -> None:
    assert added("requirements.txt", "flask==3\n", "click", "==8") == "flask==3\nclick==8\n"
    assert added("requirements.txt", "b\na", "click", "==8") == "b\na\nclick==8\n"
    assert added("requirements.txt", "a\r\nc\r\n", "b", "") == "a\r\nb\r\nc\r\n"
    assert added("requirements.txt", "", "b", "==1") == "b==1\n"
    pinned = "b==1 \\\n    --hash=sha256:a\n# end\n"
    assert added("requirements.txt", pinned, "c", "==2") == pinned.replace("# end", "c==2\n# end")
    assert "    jinja2\n    requests  # asks" in added("setup.cfg", SETUP_CFG, "jinja2", "")
    assert (
        added("setup.cfg", SETUP_CFG, "zope", "").index("zope") < SETUP_CFG.index("python_req") + 9
    )
    assert 'flask = "^3.0"\nzope = ">=1"\n\n' in added("pyproject.toml", POETRY, "zope", ">=1")


def test_extras_markers_comments_and_hashes_stay_when_the_version_changes() -> None:
    found = manifest("pyproject.toml", PYPROJECT).of("Requests")
    assert found is not None
    after = spliced(PYPROJECT, [with_specifier(found, "==2.32")])
    assert """'requests[socks]==2.32; python_version >= "3.8"',  # for questions""" in after
    bare = manifest("requirements.txt", REQUIREMENTS).of("pyyaml")
    assert bare is not None
    assert 'PyYAML>=6 ; python_version < "4"' in spliced(
        REQUIREMENTS, [with_specifier(bare, ">=6")]
    )
    poetry = manifest("pyproject.toml", POETRY).of("flask")
    assert poetry is not None
    assert 'flask = ">=3"' in spliced(POETRY, [with_specifier(poetry, ">=3")])
    splice = with_name(bare, "ruamel.yaml")
    assert splice is not None
    assert "ruamel.yaml ; python" in spliced(REQUIREMENTS, [splice])


def test_what_is_not_understood_exactly_is_no_manifest() -> None:
    assert read_manifest("pyproject.toml", "[tool.ruff]\n") is None
    assert read_manifest("pyproject.toml", "[project\n") is None
    assert read_manifest("pyproject.toml", '[project]\ndynamic = ["dependencies"]\n') is None
    escaped = '[project]\ndependencies = ["fl\\u0061sk"]\n'
    assert read_manifest("pyproject.toml", escaped) is None
    assert read_manifest("setup.py", "setup(install_requires=read())\n") is None
    assert read_manifest("README.md", "flask\n") is None


names = st.from_regex(r"[a-z]{1,4}(-[a-z]{1,3})?", fullmatch=True)
versions = st.sampled_from(["", "==1.0", ">=2,<3", "~=1.4"])
requirement = st.tuples(names, versions, st.sampled_from(["", "  # why"]))


@settings(max_examples=60)
@given(st.lists(requirement, max_size=6), names, st.sampled_from(["\n", "\r\n"]))
def test_characters_outside_of_an_edit_stay(
    rows: list[tuple[str, str, str]], name: str, newline: str
) -> None:
    """An addition is an insertion; it is read back, and every other requirement as before."""
    lines = newline.join(f"{a}{b}{c}" for a, b, c in rows)
    listed = "".join(f'  "{a}{b}",{c}{newline}' for a, b, c in rows)
    toml = f'[project]{newline}name = "k"{newline}dependencies = [{newline}{listed}]{newline}'
    for path, text in (("requirements.txt", lines), ("pyproject.toml", toml)):
        before = manifest(path, text)
        splice = with_requirement(before, name, "==9")
        if splice is None:
            assert name in [each.name for each in before.stated]
            continue
        assert splice.start == splice.stop
        after = manifest(path, spliced(text, [splice]))
        assert sorted(each.text for each in after.stated) == sorted(
            [*(each.text for each in before.stated), f"{name}==9"]
        )
        for each in before.stated:
            changed = spliced(text, [with_specifier(each, "==7")])
            assert (changed[: each.start], changed[len(changed) - len(text) + each.stop :]) == (
                text[: each.start],
                text[each.stop :],
            )
