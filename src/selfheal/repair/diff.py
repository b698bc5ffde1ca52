"""Unified diffs that `git apply` and `patch -p1` take, written, read and applied in memory.

Texts are split at ``\\n`` alone, so that ``\\r\\n``, form feeds and Unicode separators
stay what they are. The format is the one of git-diff(1), "generating patch text".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from selfheal.errors import InvalidInput

Opcode = tuple[str, int, int, int, int]

CONTEXT = 3
NO_NEWLINE = "\\ No newline at end of file\n"
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def lines_of(text: str) -> list[str]:
    """The lines with their ends; only ``\\n`` ends a line."""
    lines = text.split("\n")
    last = lines.pop()
    return [f"{line}\n" for line in lines] + ([last] if last else [])


def opcodes(old: list[str], new: list[str]) -> list[Opcode]:
    """What turns `old` into `new`, as difflib's opcodes over whole lines."""
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    middle = SequenceMatcher(
        None, old[head : len(old) - tail], new[head : len(new) - tail], autojunk=False
    ).get_opcodes()
    found: list[Opcode] = [("equal", 0, head, 0, head)] if head else []
    found += [(tag, a + head, b + head, c + head, d + head) for tag, a, b, c, d in middle]
    if tail:
        found.append(("equal", len(old) - tail, len(old), len(new) - tail, len(new)))
    return _joined(found)


def _joined(found: list[Opcode]) -> list[Opcode]:
    joined: list[Opcode] = []
    for tag, a, b, c, d in found:
        if joined and joined[-1][0] == tag == "equal":
            joined[-1] = ("equal", joined[-1][1], b, joined[-1][3], d)
        else:
            joined.append((tag, a, b, c, d))
    return joined


def unified_diff(path: str, old: str | None, new: str | None) -> str:
    """One file's diff in git's form; None is a file that does not exist. Empty if equal."""
    if old == new:
        return ""
    left, right = _quoted(f"a/{path}"), _quoted(f"b/{path}")
    head = [f"diff --git {left} {right}\n"]
    if old is None:
        head.append("new file mode 100644\n")
    elif new is None:
        head.append("deleted file mode 100644\n")
    body = _hunks(lines_of(old or ""), lines_of(new or ""))
    if not body:
        return "".join(head)
    head.append(f"--- {_file_name(left) if old is not None else '/dev/null'}\n")
    head.append(f"+++ {_file_name(right) if new is not None else '/dev/null'}\n")
    return "".join(head) + body


def patch_of(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> str:
    """The diff of several files, by path; `after` names the files that may differ."""
    return "".join(unified_diff(path, before.get(path), after[path]) for path in sorted(after))


def _quoted(name: str) -> str:
    if not any(character in _ESCAPES or ord(character) < 32 for character in name):
        return name
    quoted = (
        _ESCAPES.get(character, character if ord(character) >= 32 else f"\\{ord(character):03o}")
        for character in name
    )
    return f'"{"".join(quoted)}"'


def _file_name(name: str) -> str:
    """A tab ends a name that holds a space, as git and GNU patch agree."""
    return f"{name}\t" if " " in name and not name.startswith('"') else name


def _hunks(old: list[str], new: list[str]) -> str:
    written: list[str] = []
    for group in _groups(opcodes(old, new)):
        first, last = group[0], group[-1]
        written.append(f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n")
        for tag, a, b, c, d in group:
            if tag == "equal":
                written += [_line(" ", line) for line in old[a:b]]
                continue
            written += [_line("-", line) for line in old[a:b]]
            written += [_line("+", line) for line in new[c:d]]
    return "".join(written)


def _groups(found: list[Opcode]) -> list[list[Opcode]]:
    """Changes with their context; those that share it are one hunk."""
    groups: list[list[Opcode]] = [[]]
    for index, (tag, a, b, c, d) in enumerate(found):
        if tag != "equal":
            groups[-1].append((tag, a, b, c, d))
            continue
        leads, trails = index + 1 < len(found), index > 0
        if leads and trails and b - a <= 2 * CONTEXT:
            groups[-1].append((tag, a, b, c, d))
            continue
        if trails:
            groups[-1].append((tag, a, min(b, a + CONTEXT), c, min(d, c + CONTEXT)))
        if leads:
            start = max(a, b - CONTEXT)
            groups.append([(tag, start, b, d - (b - start), d)])
    return [group for group in groups if any(each[0] != "equal" for each in group)]


def _range(start: int, stop: int) -> str:
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def _line(mark: str, line: str) -> str:
    return f"{mark}{line}" if line.endswith("\n") else f"{mark}{line}\n{NO_NEWLINE}"


@dataclass
class FilePatch:
    """One file of a patch: names without prefix (None: absent) and hunks of marked lines."""

    old_path: str | None
    new_path: str | None
    hunks: list[tuple[int, list[str]]] = field(default_factory=list)

    @property
    def path(self) -> str:
        return self.new_path or self.old_path or ""


def parse_patch(patch: str) -> list[FilePatch]:
    """The files of a unified diff as this module writes it. Raises InvalidInput."""
    lines = lines_of(patch)
    files: list[FilePatch] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        position += 1
        if line.startswith("diff --git "):
            files.append(_header(line))
        elif line.startswith("new file mode"):
            files[-1].old_path = None
        elif line.startswith("deleted file mode"):
            files[-1].new_path = None
        elif match := _HUNK.match(line):
            if not files:
                raise InvalidInput("a hunk before any file.", where=f"patch:{position}")
            start = int(match[1]) - (match[2] != "0")
            body, position = _body(lines, position, int(match[2] or 1), int(match[4] or 1))
            files[-1].hunks.append((start, body))
    return files


def _header(line: str) -> FilePatch:
    names = line[len("diff --git ") :].rstrip("\n")
    if names.startswith('"'):
        left = _unquoted(names[1 : names.index('" "')])
    else:
        left = names[: (len(names) - 1) // 2]
    path = left.removeprefix("a/")
    return FilePatch(path, path)


def _unquoted(name: str) -> str:
    plain = {written: character for character, written in _ESCAPES.items()}
    return re.sub(
        r"\\(?:[0-7]{3}|.)",
        lambda match: plain.get(match[0]) or chr(int(match[0][1:], 8)),
        name,
    )


def _body(lines: list[str], position: int, old: int, new: int) -> tuple[list[str], int]:
    body: list[str] = []
    while position < len(lines) and (old > 0 or new > 0 or lines[position].startswith("\\")):
        line = lines[position]
        position += 1
        if line.startswith("\\"):
            body[-1] = body[-1].removesuffix("\n")
            continue
        old -= line[0] in " -"
        new -= line[0] in " +"
        body.append(line)
    return body, position


def apply_patch(before: Mapping[str, str | None], patch: str) -> dict[str, str | None]:
    """The files that the patch changes, as they are after it; None is deleted.

    Strict: every context line must stand where the hunk says. Raises InvalidInput
    that names the file and line where it does not.
    """
    after: dict[str, str | None] = {}
    for file in parse_patch(patch):
        text = before.get(file.old_path) if file.old_path else None
        if file.old_path and text is None:
            raise InvalidInput("the patch changes a file that is not there.", where=file.old_path)
        changed = _apply_hunks(file, lines_of(text or ""))
        after[file.path] = None if file.new_path is None else changed
    return after


def _apply_hunks(file: FilePatch, old: list[str]) -> str:
    new: list[str] = []
    position = 0
    for start, body in file.hunks:
        new += old[position:start]
        position = start
        for line in body:
            if line[0] in " -":
                if position >= len(old) or old[position] != line[1:]:
                    raise InvalidInput(
                        "the patch does not fit here.", where=f"{file.path}:{position + 1}"
                    )
                position += 1
            if line[0] in " +":
                new.append(line[1:])
    return "".join(new + old[position:])
