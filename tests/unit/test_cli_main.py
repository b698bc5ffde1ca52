"""The entry point: exit codes, one-paragraph errors, fast help, no tracebacks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from selfheal import __version__, errors
from selfheal.cli import settings as a_verb
from selfheal.cli.console import Console, Outcome, table
from selfheal.cli.main import EXIT_CODES, main
from selfheal.cli.verbs import VERBS
from selfheal.errors import NotFound, RepositoryError, SelfhealError

HEAVY = {
    "duckdb",
    "pyarrow",
    "scipy",
    "numpy",
    "libcst",
    "networkx",
    "git",
    "opentelemetry",
    "pytest",
    "coverage",
    "pydantic",
    "structlog",
    "yaml",
    "selfheal_handlers",
}
DOCS = Path(__file__).parents[2] / "docs"


def raising(error: BaseException) -> object:
    def run(_arguments: Namespace, _console: Console) -> Outcome:
        raise error

    return run


def test_help_and_version_import_nothing_heavy() -> None:
    """`selfheal --help` stays fast because it imports only argparse and the table of verbs."""
    code = (
        "import sys\n"
        "from selfheal.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split("LOADED")[1].split())
    assert loaded & HEAVY == set()
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_without_heavy_imports(verb: str) -> None:
    code = (
        "import sys\n"
        "from selfheal.cli.main import main\n"
        f"try: main([{verb!r}, '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split("LOADED")[1].split())
    assert loaded & HEAVY == set()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"selfheal {__version__}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RepositoryError("no repository."), 2),
        (NotFound("nothing there."), 1),
        (errors.LockedError("busy."), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_become_exit_codes(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    monkeypatch.setattr(a_verb, "run", raising(error))
    assert main(["config", "show"]) == code


def test_outcomes_become_exit_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    for outcome, code in EXIT_CODES.items():
        monkeypatch.setattr(a_verb, "run", lambda _a, _c, outcome=outcome: outcome)
        assert main(["config", "show"]) == code
    assert dict(EXIT_CODES) == {
        "succeeded": 0,
        "failed": 1,
        "unusable": 2,
        "waiting": 3,
        "cancelled": 130,
    }


def test_an_error_is_one_paragraph_with_place_and_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = RepositoryError("this is\nno repository.", where="/x", hint="Use --repo.")
    monkeypatch.setattr(a_verb, "run", raising(error))
    main(["config", "show"])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ("selfheal: error[repository]: /x: this is no repository. Use --repo.\n")


def test_an_error_is_one_json_object_where_logs_are_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(a_verb, "run", raising(RepositoryError("no.", where="/x", hint="h")))
    main(["config", "show", "--log-format", "json"])
    assert json.loads(capsys.readouterr().err) == {
        "level": "error",
        "error": "repository",
        "message": "no.",
        "where": "/x",
        "hint": "h",
    }


def test_a_defect_is_a_short_message_and_a_file_with_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(a_verb, "run", raising(ZeroDivisionError("by zero")))
    assert main(["config", "show"]) == 1
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert "ZeroDivisionError: by zero" in message
    written = Path(re.search(r"traceback is in (\S+\.txt)", message)[1])  # type: ignore[index]
    assert "Traceback (most recent call last)" in written.read_text()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rnu"], "Did you mean run?"),
        (["run", "--phase", "detekt"], "invalid choice"),
        (["run", "--no-such-option"], "unrecognized arguments"),
        (["approve"], "required"),
        (["run", "--phase", "fix", "--to", "deploy"], "--from fix --to deploy"),
        (["run", "--from", "fix", "--to", "parse"], "comes after"),
        (["config", "show", "--set", "x=1"], "SECTION.KEY=VALUE"),
        (["config", "show", "--config", "nowhere.yaml"], "no such file"),
    ],
)
def test_wrong_usage_is_exit_2_in_one_line(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert message.count("\n") == 1


def test_no_command_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "commands" in capsys.readouterr().out


def test_set_overrides_and_config_show_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--json", "--set", "run.workers=7"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["settings"]["run"]["workers"] == 7
    assert shown["origins"]["run.workers"] == "flag for run.workers"


def all_errors(kind: type[SelfhealError] = SelfhealError) -> set[type[SelfhealError]]:
    return {kind}.union(*(all_errors(below) for below in kind.__subclasses__()))


def test_every_error_has_its_section_in_the_docs_and_no_section_is_left_over() -> None:
    headings = re.findall(r"^## (\S+)$", (DOCS / "errors.md").read_text(), re.MULTILINE)
    ours = {kind.slug for kind in all_errors() if kind.__module__ == errors.__name__}
    assert sorted(headings) == sorted(ours)


def test_every_setting_is_in_the_docs() -> None:
    from selfheal.config import Settings

    text = (DOCS / "configuration.md").read_text()
    for name, info in Settings.model_fields.items():
        section = text.split(f"\n## {info.alias or name}\n")[1].split("\n## ")[0]
        for key in info.annotation.model_fields:  # type: ignore[union-attr]
            assert f"`{key}`" in section, f"{info.alias or name}.{key}"


def test_a_table_pads_all_columns_but_the_last() -> None:
    assert table([("a", "bb", "c"), ("aaa", "b", "cc")]) == "a    bb  c\naaa  b   cc"
    assert table([]) == ""


@pytest.mark.parametrize("written", ["9.9", "1.10", "2"])
def test_set_takes_a_release_as_it_is_written(
    written: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """YAML reads 1.10 as the number 1.1, and a release is a name."""
    assert main(["config", "show", "--json", "--set", f"detect.candidate_release={written}"]) == 0
    detect = json.loads(capsys.readouterr().out)["settings"]["detect"]
    assert detect["candidate_release"] == written


def test_an_error_under_json_leaves_stdout_empty_and_is_json_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for error, slug in ((RepositoryError("no."), "repository"), (ZeroDivisionError("by"), "fault")):
        monkeypatch.setattr(a_verb, "run", raising(error))
        main(["config", "show", "--json"])
        captured = capsys.readouterr()
        assert captured.out == ""
        assert json.loads(captured.err)["error"] == slug


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--phase", "fix"], "Name it with --repo FOLDER."),
        ([], "Name it with --repo FOLDER, or end before it with --to detect."),
    ],
)
def test_without_a_repository_the_hint_is_one_that_helps(
    words: list[str],
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", *words, "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["hint"] == hint


def test_broken_sequences_are_exit_2_with_every_problem_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A file that cannot be read is a problem beside those of the other files."""
    bad, missing = tmp_path / "bad.json", tmp_path / "missing.json"
    bad.write_text("[1]")
    assert main(["sequences", "validate", "--json", str(bad), str(missing), str(bad)]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    said = [(problem["file"], problem["message"]) for problem in problems]
    assert len(set(said)) == len(said)
    assert {file for file, _ in said} == {str(bad), str(missing)}
    assert "cannot be read" in said[-1][1]
