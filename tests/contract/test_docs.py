"""The docs tell the same story as the code: every beat, every phase, every command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from selfheal.cli.project import PHASES
from selfheal.cli.scaffold import READS
from selfheal.cli.verbs import VERBS
from selfheal.sequences import load_catalogue

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "tests" / "README.md"])


def table_of_beats() -> str:
    """docs/beats.md as the sequences have it."""
    lines = [
        "# Beats",
        "",
        "Every phase is a sequence of beats in `json-sequences/`; this page lists them. "
        "`selfheal beats` lists them with your own and those of installed packages, "
        "`selfheal sequences graph PHASE` draws which waits for which.",
    ]
    for entry in load_catalogue(packages=False).entries:
        lines += ["", f"## {entry.phase}", "", entry.sequence.description, ""]
        lines += ["| beat | kind | event | what it does |", "|---|---|---|---|"]
        lines += [
            f"| `{beat.id}` | {beat.kind} | `{beat.event}` | {beat.description} |"
            for beat in entry.sequence.all_beats
        ]
    return "\n".join(lines) + "\n"


def test_the_page_of_beats_is_what_the_sequences_say() -> None:
    """Renew it with: python tests/contract/test_docs.py"""
    assert (ROOT / "docs" / "beats.md").read_text(encoding="utf-8") == table_of_beats()


def test_the_command_line_knows_the_phases_of_the_catalogue() -> None:
    assert load_catalogue(packages=False).phases == PHASES
    assert tuple(READS) == PHASES


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [verb for verb in VERBS if verb not in text] == []


def test_the_readme_names_no_command_that_is_not_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    named = {
        *re.findall(r"^selfheal ([a-z]+)", blocks, re.MULTILINE),
        *re.findall(r"`selfheal ([a-z]+)", text),
    }
    assert "run" in named
    assert named - set(VERBS) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


if __name__ == "__main__":
    (ROOT / "docs" / "beats.md").write_text(table_of_beats(), encoding="utf-8")
