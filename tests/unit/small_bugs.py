"""Small functions with one bug each, and what calls of them should give.

Written for these tests. A check is an expression with its value, or with the type of the
exception that it should raise. `kind` names the class of the bug.
"""

from __future__ import annotations

from typing import NamedTuple


class Bug(NamedTuple):
    kind: str
    source: str
    checks: tuple[tuple[str, object], ...]


BUGS = (
    Bug("comparison", '''
def free_shipping(total, threshold):
    """Whether an order ships free: from the threshold on."""
    if total > threshold:
        return True
    return False
''', (("free_shipping(50, 50)", True), ("free_shipping(49, 50)", False), ("free_shipping(51, 50)", True))),
    Bug("comparison direction", '''
def hottest(readings):
    best = readings[0]
    for reading in readings:
        if reading[1] < best[1]:
            best = reading
    return best[0]
''', (("hottest([('a', 3), ('b', 9), ('c', 5)])", "b"), ("hottest([('a', 3)])", "a"), ("hottest([('a', 3), ('b', 1)])", "a"))),
    Bug("arithmetic", '''
def refund(paid, fee, shipped):
    amount = paid + fee
    if shipped:
        amount = amount / 2
    return max(amount, 0)
''', (("refund(10, 2, False)", 8), ("refund(10, 2, True)", 4.0), ("refund(1, 2, False)", 0), ("refund(4, 0, True)", 2.0))),
    Bug("off by one in a range", '''
def windows(values, size):
    found = []
    for start in range(len(values) - size):
        found.append(sum(values[start:start + size]))
    return found
''', (("windows([1, 2, 3, 4], 2)", [3, 5, 7]), ("windows([1, 2], 2)", [3]), ("windows([], 1)", []))),
    Bug("off by one in an index", '''
def pairs(items):
    result = []
    for i in range(len(items)):
        result.append((items[i], items[i + 1]))
    return result
''', (("pairs([1, 2, 3])", [(1, 2), (2, 3)]), ("pairs([])", []), ("pairs([5])", []))),
    Bug("off by one in a slice", '''
def extension(name):
    dot = name.rfind(".")
    if dot < 0:
        return ""
    return name[dot:]
''', (("extension('a.txt')", "txt"), ("extension('a.b.gz')", "gz"), ("extension('plain')", ""))),
    Bug("boolean operator", '''
def can_rent(age, licence, banned):
    return age >= 21 and licence or not banned
''', (("can_rent(30, True, False)", True), ("can_rent(30, False, False)", False), ("can_rent(30, True, True)", False), ("can_rent(18, True, False)", False))),
    Bug("negated condition", '''
def visible(posts, user):
    found = []
    for post in posts:
        if post["hidden"] or post["author"] == user:
            found.append(post["id"])
    return found
''', (("visible([{'id': 1, 'hidden': False, 'author': 'a'}, {'id': 2, 'hidden': True, 'author': 'b'}], 'c')", [1]),
      ("visible([{'id': 2, 'hidden': True, 'author': 'b'}], 'b')", [2]))),
    Bug("missing condition", '''
def trailing_zeros(number):
    count = 0
    while number % 10 == 0:
        number //= 10
        count += 1
    return count
''', (("trailing_zeros(1200)", 2), ("trailing_zeros(7)", 0), ("trailing_zeros(0)", 0))),
    Bug("missing bound in a loop", '''
def skip_blank(lines, start):
    position = start
    while lines[position] == "":
        position += 1
    return position
''', (("skip_blank(['', 'a'], 0)", 1), ("skip_blank(['', ''], 0)", 2), ("skip_blank(['b'], 0)", 0))),
    Bug("extra condition", '''
def passed(scores, minimum):
    return [name for name, score in scores if score >= minimum and score != minimum]
''', (("passed([('a', 5), ('b', 4), ('c', 6)], 5)", ["a", "c"]), ("passed([], 5)", []))),
    Bug("truth for None", '''
def discounted(price, percent=None):
    if percent:
        return price * (100 - percent) / 100
    return price * 0.95
''', (("discounted(100, 10)", 90.0), ("discounted(100)", 95.0), ("discounted(100, 0)", 100.0))),
    Bug("wrong variable", '''
def overlap(first, second):
    start = max(first[0], second[0])
    end = min(first[1], first[1])
    return max(end - start, 0)
''', (("overlap((0, 10), (5, 8))", 3), ("overlap((0, 4), (6, 8))", 0), ("overlap((2, 6), (0, 9))", 4))),
    Bug("wrong variable assigned", '''
def split_bill(items, people):
    total = 0
    share = 0
    for price, count in items:
        share += price * count
    return total / people
''', (("split_bill([(10, 2), (4, 1)], 2)", 12.0), ("split_bill([], 2)", 0.0))),
    Bug("wrong attribute", '''
class Box:
    def __init__(self, width, height):
        self.width = width
        self.height = height

    def area(self):
        return self.width * self.width

    def is_wide(self):
        return self.width > self.height
''', (("Box(2, 3).area()", 6), ("Box(2, 2).area()", 4), ("Box(3, 2).is_wide()", True))),
    Bug("missing self", '''
class Counter:
    def __init__(self, step=1):
        self.step = step
        self.value = 0

    def advance(self, times):
        for _ in range(times):
            self.value += step
        return self.value
''', (("Counter(2).advance(3)", 6), ("Counter().advance(0)", 0))),
    Bug("wrong callee", '''
def bounds(points):
    left = min(x for x, _ in points)
    right = min(x for x, _ in points)
    return left, right
''', (("bounds([(1, 2), (5, 0)])", (1, 5)), ("bounds([(2, 2)])", (2, 2)))),
    Bug("wrong method", '''
def merge_tags(known, added):
    tags = list(known)
    tags.append(added)
    return sorted(set(tags))
''', (("merge_tags(['b'], ['a', 'b'])", ["a", "b"]), ("merge_tags([], [])", []))),
    Bug("swapped arguments", '''
def power(base, exponent):
    result = 1
    for _ in range(exponent):
        result *= base
    return result

def cube_volume(edge):
    return power(3, edge)
''', (("cube_volume(2)", 8), ("cube_volume(4)", 64), ("power(2, 5)", 32))),
    Bug("missing argument", '''
def render(value, digits=0):
    return f"{value:.{digits}f}"

def price_tag(value, digits):
    return render(value) + " EUR"
''', (("price_tag(2.5, 2)", "2.50 EUR"), ("price_tag(3.0, 1)", "3.0 EUR"), ("render(1.2)", "1"))),
    Bug("missing call", '''
def same_person(one, other):
    return one["email"] == other["email"].lower()
''', (("same_person({'email': 'A@b.c'}, {'email': 'a@B.c'})", True), ("same_person({'email': 'x'}, {'email': 'y'})", False))),
    Bug("missing coercion", '''
def label(name, number):
    return name + "-" + number
''', (("label('row', 3)", "row-3"), ("label('seat', 'A')", "seat-A"))),
    Bug("missing copy", '''
def with_default(options, key, value):
    merged = options
    if key not in merged:
        merged[key] = value
    return merged

def both(options):
    return with_default(options, "x", 1), options
''', (("both({})", ({"x": 1}, {})), ("both({'x': 2})", ({"x": 2}, {"x": 2})))),
    Bug("extra call", '''
def history(events):
    return [event["name"] for event in sorted(events, key=lambda event: str(event["at"]))]
''', (("history([{'name': 'b', 'at': 10}, {'name': 'a', 'at': 9}])", ["a", "b"]), ("history([])", []))),
    Bug("missing reverse", '''
def ranking(scores):
    ordered = sorted(scores.items(), key=lambda pair: pair[1])
    return [name for name, _ in ordered]
''', (("ranking({'a': 1, 'b': 3, 'c': 2})", ["b", "c", "a"]), ("ranking({})", []))),
    Bug("missing return", '''
def find_user(users, name):
    for user in users:
        if user["name"] == name:
            found = user
    return None
''', (("find_user([{'name': 'a', 'id': 1}], 'a')", {"name": "a", "id": 1}), ("find_user([], 'a')", None))),
    Bug("return too deep", '''
def longest(words):
    best = ""
    for word in words:
        if len(word) > len(best):
            best = word
        return best
    return best
''', (("longest(['a', 'ccc', 'bb'])", "ccc"), ("longest([])", ""), ("longest(['a'])", "a"))),
    Bug("initialised within the loop", '''
def totals(rows):
    result = []
    for row in rows:
        running = 0
        running += row
        result.append(running)
    return result
''', (("totals([1, 2, 3])", [1, 3, 6]), ("totals([])", []))),
    Bug("statement out of the loop", '''
def collect(groups):
    names = []
    for group in groups:
        first = group[0]
    names.append(first)
    return names
''', (("collect([['a', 'b'], ['c']])", ["a", "c"]), ("collect([])", []))),
    Bug("statement order", '''
def running_minimum(values):
    lowest = values[0]
    found = []
    for value in values:
        found.append(lowest)
        lowest = min(lowest, value)
    return found
''', (("running_minimum([3, 1, 2])", [3, 1, 1]), ("running_minimum([1])", [1]))),
    Bug("unused result", '''
def slug(title):
    text = title.lower()
    text.replace(" ", "-")
    return text
''', (("slug('Two Words')", "two-words"), ("slug('One')", "one"))),
    Bug("base case", '''
def depth(tree):
    return 1 + max(depth(child) for child in tree["children"])
''', (("depth({'children': []})", 1), ("depth({'children': [{'children': []}]})", 2))),
    Bug("base case of a recursion", '''
def choose(n, k):
    """Ways to choose k of n."""
    return choose(n - 1, k - 1) + choose(n - 1, k)
''', (("choose(4, 2)", 6), ("choose(3, 0)", 1), ("choose(5, 5)", 1))),
    Bug("empty input", '''
def average(values):
    return sum(values) / len(values)
''', (("average([1, 2])", 1.5), ("average([])", 0))),
    Bug("None on the way", '''
def initials(person):
    middle = person.get("middle")
    return person["first"][0] + middle[0] + person["last"][0]
''', (("initials({'first': 'Ada', 'middle': 'Bo', 'last': 'Cy'})", "ABC"), ("initials({'first': 'Ada', 'last': 'Cy'})", "AC"))),
    Bug("missing key", '''
def count_words(text):
    counts = {}
    for word in text.split():
        counts[word] = counts[word] + 1
    return counts
''', (("count_words('a b a')", {"a": 2, "b": 1}), ("count_words('')", {}))),
    Bug("wrong number", '''
def to_seconds(hours, minutes):
    return hours * 360 + minutes * 60
''', (("to_seconds(1, 1)", 3660), ("to_seconds(0, 2)", 120), ("to_seconds(2, 0)", 7200))),
    Bug("wrong start value", '''
def product(values):
    result = 0
    for value in values:
        result *= value
    return result
''', (("product([2, 3])", 6), ("product([])", 1))),
    Bug("wrong string", '''
def full_name(user):
    return ",".join([user["last"], user["first"]])
''', (("full_name({'first': 'Ada', 'last': 'Byron'})", "Byron, Ada"), ("full_name({'first': 'A', 'last': 'B'})", "B, A"))),
    Bug("misspelt key", '''
def total(order):
    return sum(line["price"] * line["quantitiy"] for line in order["lines"])

def pieces(order):
    return sum(line["quantity"] for line in order["lines"])
''', (("total({'lines': [{'price': 2, 'quantity': 3}]})", 6), ("pieces({'lines': []})", 0), ("total({'lines': []})", 0))),
    Bug("pattern", r'''
import re

def is_version(text):
    return bool(re.match(r"\d+\.\d+", text))
''', (("is_version('1.2')", True), ("is_version('1.2beta')", False), ("is_version('x')", False))),
    Bug("yield of a generator", '''
def leaves(node):
    if isinstance(node, list):
        for child in node:
            yield leaves(child)
    else:
        yield node

def all_leaves(node):
    return list(leaves(node))
''', (("all_leaves([1, [2, [3]]])", [1, 2, 3]), ("all_leaves(5)", [5]))),
    Bug("keyword of a loop", '''
def digital_root(number):
    if number > 9:
        number = sum(int(digit) for digit in str(number))
    return number
''', (("digital_root(12)", 3), ("digital_root(9999)", 9), ("digital_root(5)", 5))),
    Bug("missing step", '''
def halvings(number):
    steps = 0
    while number > 1:
        number //= 2
    return steps
''', (("halvings(8)", 3), ("halvings(1)", 0), ("halvings(5)", 2))),
    Bug("caught too narrowly", '''
def parse_port(text):
    try:
        return int(text)
    except TypeError:
        return None
''', (("parse_port('80')", 80), ("parse_port('x')", None), ("parse_port(None)", None))),
    Bug("not raised", '''
def withdraw(balance, amount):
    if amount > balance:
        ValueError("not enough")
    return balance - amount
''', (("withdraw(5, 3)", 2), ("withdraw(5, 9)", ValueError))),
    Bug("missing check", '''
def take(stock, count):
    """Raises ValueError for a negative count."""
    return stock[count:]
''', (("take([1, 2, 3], 1)", [2, 3]), ("take([1, 2], -1)", ValueError), ("take([], 0)", []))),
    Bug("missing parentheses", '''
def midpoint(low, high):
    return low + high / 2
''', (("midpoint(2, 4)", 3.0), ("midpoint(0, 4)", 2.0), ("midpoint(5, 5)", 5.0))),
    Bug("early stop", '''
def all_even(numbers):
    for number in numbers:
        if number % 2 == 0:
            return True
        else:
            return False
    return True
''', (("all_even([2, 4])", True), ("all_even([2, 3])", False), ("all_even([])", True), ("all_even([3])", False))),
    Bug("missing continue", '''
def parse_pairs(lines):
    found = {}
    for line in lines:
        if "=" not in line:
            pass
        key, value = line.split("=")
        found[key] = value
    return found
''', (("parse_pairs(['a=1', 'b=2'])", {"a": "1", "b": "2"}), ("parse_pairs(['', 'a=1'])", {"a": "1"}))),
    Bug("split too often", '''
def header(line):
    name, value = line.split(":")
    return name.strip(), value.strip()
''', (("header('Host: x')", ("Host", "x")), ("header('At: 10:30')", ("At", "10:30")))),
    Bug("wrong element", '''
def newest(versions):
    ordered = sorted(versions)
    return ordered[0]
''', (("newest([1, 3, 2])", 3), ("newest([4])", 4))),
)  # fmt: skip
