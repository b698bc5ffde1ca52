"""The entry point: finds the verb, and is the one place that knows exit codes."""

from __future__ import annotations

import argparse
import difflib
import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from selfheal import __version__
from selfheal.cli.console import Console, Outcome, coloured
from selfheal.cli.verbs import VERBS
from selfheal.errors import Fault, InvalidInput, SelfhealError

DONE, FAILED, UNUSABLE, WAITING, INTERRUPTED = 0, 1, 2, 3, 130

EXIT_CODES: dict[Outcome, int] = {
    "succeeded": DONE,
    "failed": FAILED,
    "unusable": UNUSABLE,
    "waiting": WAITING,
    "cancelled": INTERRUPTED,
}

DESCRIPTION = "Finds what is wrong in a running service, proves its cause, and heals it."
EPILOG = """\
exit codes: 0 done; 1 a phase failed, or what was asked for is not there; 2 usage,
configuration or input error; 3 waiting for approval; 130 interrupted

start with:  selfheal demo       or, in your own repository:  selfheal init"""


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is an InvalidInput like every other one."""

    def error(self, message: str) -> NoReturn:
        raise InvalidInput(f"{message}.", hint=f"See: {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `arguments` defaults to the process's."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _dispatch(words)
    except InvalidInput as error:
        return _report(error, words, UNUSABLE)
    except SelfhealError as error:
        return _report(error, words, FAILED)
    except KeyboardInterrupt:
        sys.stderr.write("selfheal: interrupted.\n")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        return _defect(error, words)


def _dispatch(words: list[str]) -> int:
    name = next((word for word in words if not word.startswith("-")), None)
    if name is not None and name not in VERBS:
        nearest = difflib.get_close_matches(name, VERBS, n=1)
        raise InvalidInput(
            f"there is no command {name}.",
            hint=f"Did you mean {nearest[0]}?" if nearest else "See: selfheal --help",
        )
    parser = _parser(name)
    parsed = parser.parse_args(words)
    if name is None:
        parser.print_help()
        return DONE
    return EXIT_CODES[VERBS[name].load().run(parsed, Console.of(parsed))]


def _parser(chosen: str | None) -> Parser:
    parser = Parser(
        prog="selfheal",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"selfheal {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", title="commands")
    for name, verb in VERBS.items():
        below = verbs.add_parser(name, help=verb.help, description=verb.help, allow_abbrev=False)
        if name == chosen:
            verb.load().configure(below)
    return parser


def _report(error: SelfhealError, words: Sequence[str], code: int) -> int:
    if _wants_json(words):
        line = json.dumps(
            {
                "level": "error",
                "error": error.slug,
                "message": error.message,
                "where": error.where,
                "hint": error.hint,
            }
        )
    else:
        label = f"error[{error.slug}]"
        if coloured(sys.stderr):
            label = f"\x1b[1;31m{label}\x1b[0m"
        line = f"selfheal: {label}: {' '.join(str(error).split())}"
    sys.stderr.write(line + "\n")
    return code


def _wants_json(words: Sequence[str]) -> bool:
    # The parser itself may be what failed, so the words are looked at as they are.
    return not {"--json", "--log-format=json"}.isdisjoint(words) or any(
        pair == ("--log-format", "json") for pair in itertools.pairwise(words)
    )


def _defect(error: Exception, words: Sequence[str]) -> int:
    """An exception that nobody meant: a short message and a file with the traceback."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="selfheal-traceback-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(f"selfheal {__version__}, Python {sys.version}\n")
        file.write(f"arguments: {sys.argv[1:]}\n\n")
        traceback.print_exception(error, file=file)
    fault = Fault(
        f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}.",
        hint=f"This is a defect of selfheal or of a handler; the traceback is in {file.name}.",
    )
    return _report(fault, words, FAILED)


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
