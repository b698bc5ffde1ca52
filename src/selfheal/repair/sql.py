"""One SELECT for one key, rewritten into one SELECT for many keys.

No database is asked: the statement is read clause by clause, and whatever is not
understood without doubt (unions, window functions, OR, offsets) is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"\s+|--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]]*\]"
    r"|\?|%s|[\w.\ue000-\uf8ff]+|<>|!=|<=|>=|==|\|\||.",
    re.DOTALL,
)
_CLAUSES = ("SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT")
_REFUSED = frozenset(
    ["UNION", "INTERSECT", "EXCEPT", "OVER", "WINDOW", "WITH", "OFFSET", "RETURNING", "FOR", "INTO"]
)
_AGGREGATES = frozenset(
    ["COUNT", "SUM", "AVG", "MIN", "MAX", "TOTAL", "GROUP_CONCAT", "STRING_AGG"]
)
_NAME = re.compile(r'(?:[\w]+|"[^"]+"|`[^`]+`)(?:\.(?:[\w]+|"[^"]+"|`[^`]+`))?')


@dataclass(frozen=True)
class Token:
    text: str
    start: int
    depth: int

    @property
    def word(self) -> str:
        return self.text.upper()


@dataclass(frozen=True)
class Batched:
    """The statement for many keys.

    `before`, `marks`, `after`: the text around the list of placeholders. `kept` are the
    indexes of the parameters that stay, the key's removed; those below `split` come
    before the keys. `key_index` is where a row holds its key (-1: a column added at
    the end; None: by the name `column`). `limit` is how many rows each key had at the
    most, a number or the index of a parameter. `missing` gives for an aggregate what a
    key without rows has: (name, value) of each column.
    """

    before: str
    after: str
    kept: tuple[int, ...]
    split: int
    column: str
    key_index: int | None
    added: bool
    limit: int | None
    limit_parameter: int | None
    missing: tuple[tuple[str, str], ...] | None


def batched(sql: str, key: int, *, resolved: dict[str, str] | None = None) -> Batched | None:
    """`sql` for many values of its placeholder number `key` (from 0); None if not understood.

    `resolved` gives the text of parts of the statement that are written as one private
    character each (constants put in by an f-string).
    """
    tokens = _tokens(sql)
    clauses = _clauses(tokens)
    if clauses is None or "WHERE" not in clauses or "FROM" not in clauses:
        return None
    condition = _condition(tokens, clauses, key)
    if condition is None:
        return None
    column, first, last = condition
    limit = _limit(tokens, clauses)
    if limit is None:
        return None
    number, parameter, limit_start, limit_stop = limit
    end = limit_start if limit_start is not None else len(sql)
    columns = _columns(sql, tokens, clauses, resolved or {})
    aggregate = _is_aggregate(tokens, clauses) and "GROUP" not in clauses
    missing = _missing(columns) if aggregate else None
    if aggregate and missing is None:
        return None
    index, addition = _key_column(columns, column)
    pieces = _insertions(tokens, clauses, column, addition, aggregate=aggregate, end=end)
    if pieces is None:
        return None
    kept = tuple(i for i in range(_placeholders(tokens)) if i not in (key, parameter))
    mark = Token("", first, 0).start
    head, tail = sql[:mark], sql[last:end]
    head, tail = _inserted(head, 0, pieces), _inserted(tail, last, pieces)
    rest = sql[limit_stop:] if limit_stop is not None else ""
    return Batched(
        before=f"{head}{column} IN (",
        after=f"){tail.rstrip()}{rest.rstrip().removesuffix(';')}",
        kept=kept,
        split=sum(each < key for each in kept),
        column=column,
        key_index=index,
        added=bool(addition),
        limit=number,
        limit_parameter=parameter,
        missing=missing,
    )


def is_select(sql: str) -> bool:
    return sql.lstrip().upper().startswith("SELECT")


def placeholders(sql: str) -> int:
    """How many positional placeholders a statement has."""
    return _placeholders(_tokens(sql))


def _tokens(sql: str) -> list[Token]:
    found: list[Token] = []
    depth = 0
    for match in _TOKEN.finditer(sql):
        text = match[0]
        if text.isspace() or text.startswith(("--", "/*")):
            continue
        if text == ")":
            depth -= 1
        found.append(Token(text, match.start(), depth))
        if text == "(":
            depth += 1
    return found


def _placeholders(tokens: list[Token]) -> int:
    return sum(token.text in ("?", "%s") for token in tokens)


def _clauses(tokens: list[Token]) -> dict[str, int] | None:
    """The token index of each clause at the top level; None for statements not understood."""
    if not tokens or tokens[0].word != "SELECT":
        return None
    found: dict[str, int] = {}
    for index, token in enumerate(tokens):
        if token.word in _REFUSED or (token.text == ";" and index != len(tokens) - 1):
            return None
        if token.depth == 0 and token.word in _CLAUSES:
            if token.word in found:
                return None
            found[token.word] = index
    return found


def _clause_end(tokens: list[Token], clauses: dict[str, int], name: str) -> int:
    later = [index for index in clauses.values() if index > clauses[name]]
    return min(later, default=len(tokens))


def _condition(
    tokens: list[Token], clauses: dict[str, int], key: int
) -> tuple[str, int, int] | None:
    """``column = ?`` for the key, a term of the WHERE's conjunction: column, start and stop."""
    begin, end = clauses["WHERE"] + 1, _clause_end(tokens, clauses, "WHERE")
    marks = [index for index, token in enumerate(tokens) if token.text in ("?", "%s")]
    if key >= len(marks) or not begin <= marks[key] < end:
        return None
    where = tokens[begin:end]
    if any(token.depth == 0 and token.word in ("OR", "NOT", "BETWEEN", "CASE") for token in where):
        return None
    at = marks[key]
    mark = tokens[at]
    if mark.depth:
        return None
    if tokens[at - 1].text in ("=", "=="):
        left, right = at - 2, at
    elif at + 2 < end and tokens[at + 1].text in ("=", "=="):
        left, right = at, at + 2
    else:
        return None
    name = tokens[left] if left != at else tokens[right]
    alone_before = left == begin or tokens[left - 1].word == "AND"
    alone_after = right + 1 >= end or tokens[right + 1].word in ("AND", ";")
    if not alone_before or not alone_after or not _NAME.fullmatch(name.text):
        return None
    return name.text, tokens[left].start, tokens[right].start + len(tokens[right].text)


def _limit(
    tokens: list[Token], clauses: dict[str, int]
) -> tuple[int | None, int | None, int | None, int | None] | None:
    """LIMIT as (number, parameter index, start, stop); None if it is not understood."""
    if "LIMIT" not in clauses:
        return None, None, None, None
    at = clauses["LIMIT"]
    rest = [token for token in tokens[at + 1 :] if token.text != ";"]
    if len(rest) != 1:
        return None
    stop = rest[0].start + len(rest[0].text)
    if rest[0].text.isdigit():
        return int(rest[0].text), None, tokens[at].start, stop
    if rest[0].text in ("?", "%s"):
        return None, _placeholders(tokens) - 1, tokens[at].start, stop
    return None


def _columns(
    sql: str, tokens: list[Token], clauses: dict[str, int], resolved: dict[str, str]
) -> list[str]:
    """The items of the SELECT list, constants put in."""
    start = tokens[1].start if tokens[1].word not in ("DISTINCT", "ALL") else tokens[2].start
    text = sql[start : tokens[clauses["FROM"]].start]
    for mark, content in resolved.items():
        text = text.replace(mark, content)
    items: list[str] = []
    current = ""
    for token in _tokens(text):
        if token.text == "," and token.depth == 0:
            items.append(current.strip())
            current = ""
        else:
            current += f" {token.text}"
    return [*items, current.strip()]


def _output_name(item: str) -> str:
    words = item.split()
    alias = words[-1] if len(words) > 1 else words[0].rpartition(".")[2]
    return "" if alias == ")" else alias.strip('"`')


def _is_aggregate(tokens: list[Token], clauses: dict[str, int]) -> bool:
    """An aggregate of the statement itself, not of a subquery in it."""
    inner = 0
    for index, token in enumerate(tokens[: clauses["FROM"]]):
        if token.word == "SELECT" and token.depth:
            inner = token.depth
        elif inner and token.depth < inner:
            inner = 0
        elif not inner and token.word in _AGGREGATES and tokens[index + 1].text == "(":
            return True
    return False


def _missing(columns: list[str]) -> tuple[tuple[str, str], ...] | None:
    """What each aggregate gives where there are no rows (SQL:2016, 10.9): COUNT 0, others NULL."""
    found = []
    for item in columns:
        call = re.match(r"(\w+) \(", item)
        name = call[1].upper() if call else ""
        closes = re.fullmatch(r"\w+ \(.*\)(?: (?:AS )?[\w\"`]+)?", item, re.IGNORECASE)
        if not closes or item.count(" (") > 1 + (name == "COALESCE"):
            return None
        value = {"COUNT": "0", "TOTAL": "0.0"}.get(name, "None")
        if name in ("COALESCE", "IFNULL"):
            default = re.match(r"\w+ \( (\w+) \(.*\) , ([\d.]+|NULL|'[^']*') \)", item)
            if not default or default[1].upper() not in _AGGREGATES - {"COUNT", "TOTAL"}:
                return None
            value = default[2].replace("NULL", "None").replace(" ", "")
        elif name not in _AGGREGATES:
            return None
        found.append((_output_name(item), value))
    return tuple(found)


def _key_column(columns: list[str], column: str) -> tuple[int | None, str]:
    """Where a row holds the key, and what to add to the SELECT list for it."""
    bare = column.rpartition(".")[2]
    stars = [item for item in columns if item == "*" or item.endswith(". *") or item.endswith(".*")]
    opaque = any("\ue000" <= character <= "\uf8ff" for item in columns for character in item)
    for index, item in enumerate(columns):
        source = (
            item.split(" ")[0] if re.fullmatch(r"[\w.\"`]+(?: (?:AS )?\w+)?", item, re.I) else ""
        )
        same = source == column or (
            source.rpartition(".")[2] == bare and ("." not in source or "." not in column)
        )
        if same and not stars and not opaque:
            return index, ""
    if stars:
        return (None, "") if columns == ["*"] else (-1, column)
    return -1, column


def _insertions(
    tokens: list[Token],
    clauses: dict[str, int],
    column: str,
    addition: str,
    *,
    aggregate: bool,
    end: int,
) -> dict[int, str] | None:
    """Texts to put in, by position in the statement."""
    pieces: dict[int, str] = {}
    if addition:
        last = tokens[clauses["FROM"] - 1]
        pieces[last.start + len(last.text)] = f", {addition}"
    if "GROUP" in clauses:
        by = tokens[clauses["GROUP"] + 1]
        if by.word != "BY":
            return None
        pieces[by.start + len(by.text)] = f" {column},"
    elif aggregate:
        later = [
            tokens[clauses[name]].start for name in ("HAVING", "ORDER", "LIMIT") if name in clauses
        ]
        at = min([*later, end])
        pieces[at] = f"GROUP BY {column} " if later else f" GROUP BY {column}"
    return pieces


def _inserted(text: str, offset: int, pieces: dict[int, str]) -> str:
    for position in sorted(pieces, reverse=True):
        at = position - offset
        before_all = at == 0 and offset == 0
        if 0 <= at <= len(text) and not before_all:
            text = text[:at] + pieces[position] + text[at:]
    return text
