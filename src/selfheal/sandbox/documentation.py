"""Whether a patch documents itself and leaves every link of what it touches whole."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlsplit

from selfheal.artifacts.validation import Check
from selfheal.sandbox.changes import ChangedFile

_LINK = re.compile(r"!?\[[^\]\n]*\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'][^)]*)?\)")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]\n]+\]:\s+<?([^\s>]+)>?", re.MULTILINE)
_FENCE = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1[^\n]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
_ANCHOR = re.compile(r"<a\s[^>]*(?:id|name)=[\"']([^\"']+)[\"']", re.IGNORECASE)


def documentation_check(
    files: Sequence[ChangedFile], linked: Mapping[str, str | None], *, expected: bool
) -> Check:
    """The check ``documentation``: an entry where one is `expected`, and no link broken."""
    name, broken = "documentation", broken_links(files, linked)
    if broken:
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        return Check(name=name, verdict="failed", summary=f"breaks the link in {broken[0]}{more}")
    if has_entry(files):
        documents = sum(file.role == "documentation" for file in files)
        summary = "has a documentation entry and breaks no link"
        return Check(name=name, verdict="passed", summary=summary, counts={"files": documents})
    if expected:
        return Check(name=name, verdict="failed", summary="has no documentation entry")
    summary = "documentation entries are not made in this project"
    return Check(name=name, verdict="unavailable", summary=summary, required=False)


def has_entry(files: Sequence[ChangedFile]) -> bool:
    """Whether some documentation gains text."""
    return any(file.role == "documentation" and file.added_lines for file in files)


def link_targets(files: Sequence[ChangedFile]) -> list[str]:
    """The repository's paths that changed Markdown files link to, sorted."""
    found = {
        target
        for file in files
        if _is_markdown(file.path)
        for link in _links(file.after or "")
        if (target := _target(file.path, link)[0]) and target != file.path
    }
    return sorted(found)


def broken_links(files: Sequence[ChangedFile], linked: Mapping[str, str | None]) -> list[str]:
    """Links of changed Markdown files that break by the patch, as ``file: link``.

    `linked` maps each path of `link_targets` to its text ("" if it is not Markdown),
    None where there is no such file. Links that were there before and addresses of
    other hosts are left alone.
    """
    broken = []
    for file in files:
        if not _is_markdown(file.path) or file.after is None:
            continue
        texts = {**linked, file.path: file.after}
        fresh = Counter(_links(file.after)) - Counter(_links(file.before or ""))
        lost = anchors(file.before or "") - anchors(file.after)
        for link in sorted(set(_links(file.after))):
            target, anchor = _target(file.path, link)
            own = target == file.path and anchor in lost
            if (link in fresh or own) and not _resolves(target, anchor, texts):
                broken.append(f"{file.path}: {link}")
    return broken


def anchors(text: str) -> set[str]:
    """The anchors of a Markdown text: explicit ones and those that GitHub makes of headings."""
    plain = _FENCE.sub("", text)
    found = set(_ANCHOR.findall(plain))
    seen: Counter[str] = Counter()
    for heading in _HEADING.findall(plain):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).lower())
        slug = words.strip().replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def _links(text: str) -> list[str]:
    plain = _CODE.sub("", _FENCE.sub("", text))
    return [*_LINK.findall(plain), *_REFERENCE.findall(plain)]


def _target(path: str, link: str) -> tuple[str, str]:
    """The path in the repository ("" for elsewhere) and the anchor that a link names."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return "", ""
    if parts.scheme or parts.netloc:
        return "", ""
    if not parts.path:
        return path, parts.fragment
    place = unquote(parts.path)
    folder = "" if place.startswith("/") else posixpath.dirname(path)
    return posixpath.normpath(posixpath.join(folder, place.lstrip("/"))), parts.fragment


def _resolves(target: str, anchor: str, texts: Mapping[str, str | None]) -> bool:
    if not target:
        return True
    text = texts.get(target)
    if text is None:
        return False
    return not anchor or not _is_markdown(target) or anchor.lower() in anchors(text)


def _is_markdown(path: str) -> bool:
    return path.lower().endswith((".md", ".markdown"))
