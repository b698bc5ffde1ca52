"""Programs of some size with bugs to be planted, each a piece of text in place of the right one.

Written for these tests. A check is an expression with its value, or with the type of the
exception that it should raise.
"""

from __future__ import annotations

from typing import NamedTuple


class Program(NamedTuple):
    name: str
    source: str
    checks: tuple[tuple[str, object], ...]
    bugs: tuple[tuple[str, str], ...]


PROGRAMS = (
    Program("intervals", '''
def merge(intervals):
    """Overlapping and touching intervals joined, in order."""
    merged = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            last_start, last_end = merged[-1]
            merged[-1] = (last_start, max(last_end, end))
        else:
            merged.append((start, end))
    return merged


def covered(intervals):
    return sum(end - start for start, end in merge(intervals))


def gaps(intervals, lower, upper):
    found = []
    position = lower
    for start, end in merge(intervals):
        if start > position:
            found.append((position, start))
        position = max(position, end)
    if position < upper:
        found.append((position, upper))
    return found
''', (
        ("merge([(5, 6), (1, 3), (2, 4)])", [(1, 4), (5, 6)]), ("merge([(1, 2), (2, 3)])", [(1, 3)]),
        ("merge([(1, 9), (2, 3)])", [(1, 9)]), ("merge([])", []), ("covered([(1, 3), (2, 5), (7, 8)])", 5),
        ("gaps([(2, 3), (5, 6)], 0, 8)", [(0, 2), (3, 5), (6, 8)]), ("gaps([(0, 8)], 0, 8)", []),
        ("gaps([], 1, 2)", [(1, 2)]),
    ), (
        ("start <= merged[-1][1]", "start < merged[-1][1]"),
        ("merged and start", "start"),
        ("max(last_end, end)", "end"),
        ("sorted(intervals)", "intervals"),
        ("end - start for", "start - end for"),
        ("merge(intervals))\n\n\ndef gaps", "intervals)\n\n\ndef gaps"),
        ("position = max(position, end)", "position = max(start, end)"),
        ("found.append((position, start))", "found.append((start, position))"),
        ("    if position < upper:\n        found.append((position, upper))\n", ""),
        ("        position = max(position, end)\n    if", "    position = max(position, end)\n    if"),
    )),
    Program("inventory", '''
class Inventory:
    """Counts of articles; reservations lower what is available."""

    def __init__(self, counts=None):
        self.counts = dict(counts or {})
        self.reserved = {}

    def available(self, article):
        return self.counts.get(article, 0) - self.reserved.get(article, 0)

    def reserve(self, article, count):
        if count <= 0:
            raise ValueError("a count has to be positive")
        if count > self.available(article):
            return False
        self.reserved[article] = self.reserved.get(article, 0) + count
        return True

    def ship(self, article, count):
        if self.reserved.get(article, 0) < count:
            raise KeyError(article)
        self.reserved[article] -= count
        self.counts[article] -= count
        if self.counts[article] == 0:
            del self.counts[article]
        return self.counts.get(article, 0)

    def low(self, limit):
        return sorted(name for name, count in self.counts.items() if count < limit)


def example():
    stock = Inventory({"tea": 5, "salt": 1})
    first = stock.reserve("tea", 3)
    second = stock.reserve("tea", 3)
    left = stock.ship("tea", 2)
    return first, second, left, stock.available("tea"), stock.low(3)


def shared(counts):
    stock = Inventory(counts)
    stock.reserve("tea", 1)
    stock.ship("tea", 1)
    return counts
''', (
        ("example()", (True, False, 3, 2, ["salt"])), ("Inventory().available('x')", 0),
        ("Inventory({'a': 1}).reserve('a', 0)", ValueError), ("Inventory({'a': 1}).reserve('a', 1)", True),
        ("Inventory({'a': 1}).ship('a', 1)", KeyError), ("shared({'tea': 2})", {"tea": 2}),
        ("shared({'tea': 1})", {"tea": 1}), ("Inventory({'b': 2, 'a': 1}).low(3)", ["a", "b"]),
        ("Inventory({'b': 3}).low(3)", []),
    ), (
        ("dict(counts or {})", "counts or {}"),
        ("dict(counts or {})", "dict(counts)"),
        ("- self.reserved.get(article, 0)", "- self.counts.get(article, 0)"),
        ("if count <= 0", "if count < 0"),
        ("if count > self.available(article)", "if count >= self.available(article)"),
        ("if count > self.available(article)", "if count > self.counts.get(article, 0)"),
        ("self.reserved.get(article, 0) + count", "count"),
        ("self.reserved[article] = self.reserved.get(article, 0) + count", "self.reserved[article] += count"),
        ("        self.counts[article] -= count\n", ""),
        ("return self.counts.get(article, 0)\n\n    def low", "return self.counts[article]\n\n    def low"),
        ("if count < limit", "if count > limit"),
        ("raise KeyError(article)", "raise ValueError(article)"),
        ("sorted(name for", "list(name for"),
        ("return True\n\n    def ship", "return False\n\n    def ship"),
    )),
    Program("tokens", r'''
import re

TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|(.))")


class Parser:
    """Sums and products with brackets, by recursive descent."""

    def __init__(self, text):
        self.tokens = [number or sign for number, sign in TOKEN.findall(text.strip())]
        self.position = 0

    def peek(self):
        if self.position < len(self.tokens):
            return self.tokens[self.position]
        return None

    def take(self):
        token = self.peek()
        self.position += 1
        return token

    def sum(self):
        value = self.product()
        while self.peek() in ("+", "-"):
            if self.take() == "+":
                value += self.product()
            else:
                value -= self.product()
        return value

    def product(self):
        value = self.factor()
        while self.peek() in ("*", "/"):
            if self.take() == "*":
                value *= self.factor()
            else:
                value /= self.factor()
        return value

    def factor(self):
        token = self.take()
        if token == "-":
            return -self.factor()
        if token == "(":
            value = self.sum()
            if self.take() != ")":
                raise ValueError("a bracket is not closed")
            return value
        return float(token)


def evaluate(text):
    parser = Parser(text)
    value = parser.sum()
    if parser.peek() is not None:
        raise ValueError(f"unexpected {parser.peek()}")
    return value
''', (
        ("evaluate('1 + 2 * 3')", 7.0), ("evaluate('(1 + 2) * 3')", 9.0), ("evaluate('8 / 2 - 1')", 3.0),
        ("evaluate('-2 * -3')", 6.0), ("evaluate('2 * (3')", ValueError), ("evaluate('1 2')", ValueError),
        ("evaluate('1.5 * 2 ')", 3.0), ("evaluate('10 - 2 - 3')", 5.0),
    ), (
        ("text.strip()", "text"),
        ("self.position < len(self.tokens)", "self.position <= len(self.tokens)"),
        ("        self.position += 1\n", ""),
        ("value -= self.product()", "value += self.product()"),
        ("value = self.factor()\n        while", "value = self.product()\n        while"),
        ("value = self.product()\n        while", "value = self.factor()\n        while"),
        ("return -self.factor()", "return self.factor()"),
        ("value = self.sum()\n            if", "value = self.product()\n            if"),
        ('if self.take() != ")"', 'if self.peek() != ")"'),
        ("return float(token)", "return int(token)"),
        ("parser.peek() is not None", "parser.peek() is None"),
        ('while self.peek() in ("+", "-")', 'if self.peek() in ("+", "-")'),
        (r"(?:\.\d+)?", ""),
    )),
    Program("routes", '''
import heapq


def shortest(graph, start, goal):
    """The cost of the cheapest way, None where there is none."""
    queue = [(0, start)]
    done = set()
    while queue:
        cost, place = heapq.heappop(queue)
        if place == goal:
            return cost
        if place in done:
            continue
        done.add(place)
        for other, length in graph.get(place, {}).items():
            if other not in done:
                heapq.heappush(queue, (cost + length, other))
    return None


def reachable(graph, start):
    seen = {start}
    pending = [start]
    while pending:
        place = pending.pop()
        for other in graph.get(place, {}):
            if other not in seen:
                seen.add(other)
                pending.append(other)
    return seen


def order(needs):
    """Names so that what a name needs comes before it. Raises ValueError for a cycle."""
    found = []
    state = {}

    def visit(name):
        if state.get(name) == "done":
            return
        if state.get(name) == "open":
            raise ValueError(name)
        state[name] = "open"
        for other in needs.get(name, ()):
            visit(other)
        state[name] = "done"
        found.append(name)

    for name in sorted(needs):
        visit(name)
    return found
''', (
        ("shortest({'a': {'b': 1, 'c': 9}, 'b': {'c': 2}}, 'a', 'c')", 3), ("shortest({'a': {'b': 1}}, 'b', 'a')", None),
        ("shortest({}, 'a', 'a')", 0), ("shortest({'a': {'b': 5}, 'b': {'a': 1}}, 'a', 'z')", None),
        ("sorted(reachable({'a': {'b': 1}, 'b': {'a': 1, 'c': 1}}, 'a'))", ["a", "b", "c"]),
        ("reachable({}, 'x')", {"x"}), ("order({'a': ['b'], 'b': ['c']})", ["c", "b", "a"]),
        ("order({'a': ['b'], 'b': ['a']})", ValueError), ("order({})", []), ("order({'b': ['a'], 'c': ['a']})", ["a", "b", "c"]),
    ), (
        ("(cost + length, other)", "(length, other)"),
        ("(cost + length, other)", "(cost + length, place)"),
        ("        done.add(place)\n", ""),
        ("return cost\n", "return None\n"),
        ("graph.get(place, {}).items()", "graph[place].items()"),
        ("graph.get(place, {}).items()", "graph.get(place, {})"),
        ("if other not in seen", "if other in seen"),
        ("                seen.add(other)\n", ""),
        ("pending.append(other)", "pending.append(place)"),
        ("seen = {start}", "seen = set()"),
        ('        state[name] = "open"\n', ""),
        ('state[name] = "done"\n        found.append(name)', 'found.append(name)\n        state[name] = "open"'),
        ("needs.get(name, ())", "needs[name]"),
        ("visit(other)", "visit(name)"),
    )),
    Program("text", '''
def wrap(text, width):
    """Lines of at the most `width` characters, broken between words."""
    lines = []
    current = ""
    for word in text.split():
        if not current:
            current = word
        elif len(current) + 1 + len(word) <= width:
            current += " " + word
        else:
            lines.append(current)
            current = word
    if current:
        lines.append(current)
    return lines


def table(rows, separator=" | "):
    if not rows:
        return ""
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows)]
    lines = []
    for row in rows:
        cells = [str(cell).ljust(width) for cell, width in zip(row, widths)]
        lines.append(separator.join(cells).rstrip())
    return "\\n".join(lines)


def encode(text):
    """Runs of letters as letter and count: aaab is a3b1."""
    parts = []
    index = 0
    while index < len(text):
        end = index
        while end < len(text) and text[end] == text[index]:
            end += 1
        parts.append(f"{text[index]}{end - index}")
        index = end
    return "".join(parts)


def title(text, small=("of", "the", "and")):
    words = text.lower().split()
    shown = [word if word in small and position > 0 else word.capitalize() for position, word in enumerate(words)]
    return " ".join(shown)
''', (
        ("wrap('aa bb cc', 5)", ["aa bb", "cc"]), ("wrap('', 5)", []), ("wrap('abcdefgh b', 3)", ["abcdefgh", "b"]),
        ("wrap('a b c', 1)", ["a", "b", "c"]), ("table([])", ""), ("table([['a', 1], ['bbb', 22]])", "a   | 1\nbbb | 22"),
        ("encode('aaab')", "a3b1"), ("encode('')", ""), ("encode('ab')", "a1b1"),
        ("title('the LORD of the rings')", "The Lord of the Rings"), ("title('')", ""),
    ), (
        ("<= width", "< width"),
        ("len(current) + 1 + len(word)", "len(current) + len(word)"),
        ('current += " " + word', 'current += word'),
        ("            lines.append(current)\n            current = word\n", "            lines.append(current)\n"),
        ("    if current:\n        lines.append(current)\n", ""),
        ("        if not current:\n            current = word\n        elif", "        if"),
        ("max(len(str(cell))", "max(len(cell)"),
        ("zip(*rows)", "rows"),
        (".ljust(width)", ".rjust(width)"),
        ('    if not rows:\n        return ""\n', ""),
        ("separator.join(cells).rstrip()", "separator.join(cells)"),
        ("end < len(text) and text", "text"),
        ("{end - index}", "{end}"),
        ("index = end\n    return", "index = end + 1\n    return"),
        ("text[end] == text[index]", "text[end] == text[0]"),
        ("text.lower().split()", "text.split()"),
        ("position > 0", "position >= 0"),
        ("word in small and position", "word in small or position"),
        ('"\\n".join', '"".join'),
    )),
    Program("accounts", '''
class Account:
    def __init__(self, owner, balance=0, limit=0):
        self.owner = owner
        self.balance = balance
        self.limit = limit
        self.entries = []

    def book(self, amount, text):
        self.balance += amount
        self.entries.append((amount, text))

    def withdraw(self, amount):
        if amount > self.balance + self.limit:
            raise ValueError("not covered")
        self.book(-amount, "withdrawal")
        return self.balance

    def statement(self, last=None):
        entries = self.entries if last is None else self.entries[-last:] if last else []
        return [f"{text}: {amount:+.2f}" for amount, text in entries]


def transfer(source, target, amount, fee=0):
    source.withdraw(amount + fee)
    target.book(amount, f"from {source.owner}")
    return source.balance, target.balance


def yearly(balance, rate, years):
    for _ in range(years):
        balance *= 1 + rate / 100
    return round(balance, 2)


def moved():
    one, other = Account("ann", 10), Account("bob")
    return transfer(one, other, 4, 1), one.statement(), other.statement(1), other.statement(0)


def overdrawn():
    account = Account("eve", 1, limit=5)
    account.withdraw(6)
    return account.balance
''', (
        ("moved()", ((5, 4), ["withdrawal: -5.00"], ["from ann: +4.00"], [])), ("overdrawn()", -5),
        ("Account('x', 1).withdraw(2)", ValueError), ("Account('x', 2).withdraw(2)", 0),
        ("yearly(100, 10, 2)", 121.0), ("yearly(100, 0, 3)", 100.0), ("yearly(50, 4, 0)", 50),
    ), (
        ("self.balance += amount", "self.balance = amount"),
        ("(amount, text))\n\n    def withdraw", "(text, amount))\n\n    def withdraw"),
        ("> self.balance + self.limit", "> self.balance"),
        ("> self.balance + self.limit", ">= self.balance + self.limit"),
        ("self.book(-amount", "self.book(amount"),
        ("self.entries if last is None", "self.entries if not last"),
        ("self.entries[-last:]", "self.entries[:last]"),
        ("{amount:+.2f}", "{amount:.2f}"),
        ("amount + fee", "amount"),
        ("target.book(amount,", "target.book(amount + fee,"),
        ("return source.balance, target.balance", "return target.balance, source.balance"),
        ("{source.owner}", "{target.owner}"),
        ("1 + rate / 100", "rate / 100"),
        ("1 + rate / 100", "(1 + rate) / 100"),
        ("round(balance, 2)", "balance"),
        ("        return self.balance\n\n    def statement", "\n    def statement"),
        ("self.limit = limit", "self.limit = balance"),
    )),
    Program("settings", '''
def parse(text):
    """Lines ``name = value`` with sections; values are numbers, truth values or text."""
    result = {}
    section = result
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            section = result.setdefault(line[1:-1].strip(), {})
            continue
        name, _, value = line.partition("=")
        section[name.strip()] = convert(value.strip())
    return result


def convert(text):
    if text.lower() in ("true", "yes"):
        return True
    if text.lower() in ("false", "no"):
        return False
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def merge(base, other):
    """Settings of `other` over those of `base`, section by section; both stay as they are."""
    merged = dict(base)
    for name, value in other.items():
        if isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = merge(merged[name], value)
        else:
            merged[name] = value
    return merged


def lookup(settings, path, default=None):
    current = settings
    for part in path.split("."):
        if not isinstance(current, dict) or part not in current:
            return default
        current = current[part]
    return current


def both(base, other):
    return merge(base, other), base
''', (
        ("parse('a = 1\\n# no\\n\\n[ b ]\\nc = Yes\\nd=x=y')", {"a": 1, "b": {"c": True, "d": "x=y"}}),
        ("parse('a = no\\nb = 1.5')", {"a": False, "b": 1.5}), ("parse('[a]\\nx=1\\n[b]\\n[a]\\ny=2')", {"a": {"x": 1, "y": 2}, "b": {}}),
        ("both({'a': {'x': 1}}, {'a': {'y': 2}, 'b': 3})", ({"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"x": 1}})),
        ("merge({'a': 1}, {'a': {'b': 2}})", {"a": {"b": 2}}), ("lookup({'a': {'b': 2}}, 'a.b')", 2),
        ("lookup({'a': 1}, 'a.b', 7)", 7), ("lookup({}, 'x', 0)", 0), ("lookup({'a': None}, 'a', 5)", None),
    ), (
        ("        line = line.strip()\n", ""),
        ('not line or line.startswith("#")', 'not line and line.startswith("#")'),
        ('not line or line.startswith("#")', 'line.startswith("#")'),
        ('result.setdefault(line[1:-1].strip(), {})', 'result[line[1:-1].strip()] = {}'),
        ("line[1:-1].strip()", "line[1:-1]"),
        ("line[1:-1]", "line[1:]"),
        ('line.partition("=")', 'line.rpartition("=")'),
        ('text.lower() in ("true"', 'text in ("true"'),
        ("        return int(text)", "        return float(text)"),
        ("section[name.strip()]", "section[name]"),
        ("section[name.strip()]", "result[name.strip()]"),
        ("merged = dict(base)", "merged = base"),
        ("merge(merged[name], value)", "merge(value, merged[name])"),
        ("isinstance(value, dict) and isinstance(merged.get(name), dict)", "isinstance(value, dict)"),
        ("merged.get(name)", "merged[name]"),
        ("or part not in current", "or part in current"),
        ("not isinstance(current, dict) or part", "part"),
        ("current = current[part]", "current = settings[part]"),
        ("            return default\n", "            return None\n"),
        ("convert(value.strip())", "value.strip()"),
        ("            continue\n        name", "        name"),
    )),
    Program("grid", '''
def rotate(grid):
    """A quarter turn to the right."""
    return [list(row) for row in zip(*grid[::-1])]


def neighbours(grid, row, column):
    found = []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if down == 0 and right == 0:
                continue
            y, x = row + down, column + right
            if 0 <= y < len(grid) and 0 <= x < len(grid[0]):
                found.append(grid[y][x])
    return found


def step(grid):
    """Conway's rules."""
    result = []
    for row in range(len(grid)):
        cells = []
        for column in range(len(grid[row])):
            alive = sum(neighbours(grid, row, column))
            if grid[row][column]:
                cells.append(1 if alive in (2, 3) else 0)
            else:
                cells.append(1 if alive == 3 else 0)
        result.append(cells)
    return result


def find(grid, wanted):
    for y, row in enumerate(grid):
        for x, cell in enumerate(row):
            if cell == wanted:
                return y, x
    return None


def diagonal(grid):
    return [grid[i][i] for i in range(min(len(grid), len(grid[0])))] if grid else []
''', (
        ("rotate([[1, 2], [3, 4]])", [[3, 1], [4, 2]]), ("rotate([])", []), ("sorted(neighbours([[1, 2], [3, 4]], 0, 0))", [2, 3, 4]),
        ("sum(neighbours([[1, 1, 1], [1, 1, 1], [1, 1, 1]], 1, 1))", 8), ("step([[0, 1, 0], [0, 1, 0], [0, 1, 0]])", [[0, 0, 0], [1, 1, 1], [0, 0, 0]]),
        ("step([[1, 1, 0], [1, 1, 0], [0, 0, 0]])", [[1, 1, 0], [1, 1, 0], [0, 0, 0]]), ("find([[1, 2], [3, 4]], 3)", (1, 0)), ("find([[1]], 2)", None),
        ("diagonal([[1, 2, 3], [4, 5, 6]])", [1, 5]), ("diagonal([])", []), ("neighbours([[1, 2, 3]], 0, 1)", [1, 3]),
    ), (
        ("zip(*grid[::-1])", "zip(*grid)"),
        ("list(row) for", "row for"),
        ("down == 0 and right == 0", "down == 0 or right == 0"),
        ("y, x = row + down, column + right", "y, x = row + down, column + down"),
        ("0 <= y < len(grid)", "0 <= y <= len(grid)"),
        ("0 <= x < len(grid[0])", "0 < x < len(grid[0])"),
        ("x < len(grid[0])", "x < len(grid)"),
        ("grid[y][x]", "grid[x][y]"),
        ("alive in (2, 3)", "alive in (2, 4)"),
        ("alive == 3 else 0", "alive >= 3 else 0"),
        ("        result.append(cells)\n", "    result.append(cells)\n"),
        ("return y, x", "return x, y"),
        ("    return None\n\n\ndef diagonal", "        return None\n\n\ndef diagonal"),
        (" if grid else []", ""),
        ("min(len(grid), len(grid[0]))", "len(grid[0])"),
        ("min(len", "max(len"),
        ("        cells = []\n        for", "        for"),
        ("        for right in (-1, 0, 1)", "        for right in (-1, 1)"),
    )),
)  # fmt: skip
