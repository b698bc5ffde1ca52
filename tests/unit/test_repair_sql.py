"""One statement for many keys gives, key by key, what the statement gave for one: asked of SQLite."""

from __future__ import annotations

import sqlite3

import pytest

from selfheal.repair.sql import batched, placeholders

ROWS = [(1, "a", 3), (1, "b", 5), (2, "a", 7), (4, None, 2)]
KEYS = [1, 2, 3, 4]
STATEMENTS = [
    ("SELECT name, size FROM t WHERE item = ? ORDER BY size DESC", 0, ()),
    ("SELECT item, name FROM t WHERE item = ? ORDER BY name", 0, ()),
    ("SELECT t.name AS label FROM t WHERE t.size > ? AND t.item = ? ORDER BY t.name", 1, (2,)),
    ("SELECT COUNT(*) AS n, SUM(size) AS total FROM t WHERE item = ?", 0, ()),
    ("SELECT COALESCE(SUM(size), 0) AS total FROM t WHERE ? = item", 0, ()),
    ("SELECT name, COUNT(*) FROM t WHERE item = ? GROUP BY name ORDER BY name", 0, ()),
    ("SELECT size FROM t WHERE item = ? ORDER BY size LIMIT 1", 0, ()),
    ("SELECT * FROM t WHERE item = ? ORDER BY size", 0, ()),
]


@pytest.fixture
def db():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (item, name, size)")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", ROWS)
    return connection


@pytest.mark.parametrize(("sql", "key", "others"), STATEMENTS)
def test_rows_by_key_are_the_same(db: sqlite3.Connection, sql: str, key: int, others: tuple[int]):
    batch = batched(sql, key)
    assert batch is not None
    values = [others[index if index < key else index - 1] for index in batch.kept]
    parameters = [*values[: batch.split], *KEYS, *values[batch.split :]]
    statement = f"{batch.before}{', '.join('?' * len(KEYS))}{batch.after}"
    cursor = db.execute(statement, parameters)
    index = batch.key_index
    if index is None:
        index = [column[0] for column in cursor.description].index(batch.column)
    grouped: dict[object, list[tuple[object, ...]]] = {}
    for row in cursor:
        grouped.setdefault(row[index], []).append(row[:-1] if batch.added else row)
    for value in KEYS:
        asked = [*others[:key], value, *others[key:]]
        missing = [tuple(eval(text) for _, text in batch.missing)] if batch.missing else []
        found = grouped.get(value, missing)[: batch.limit]
        assert found == db.execute(sql, asked).fetchall()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a FROM t WHERE k = ? OR b = 1",
        "SELECT a FROM t WHERE NOT k = ?",
        "SELECT a FROM t WHERE k > ?",
        "SELECT a FROM t WHERE k IN (SELECT x FROM u WHERE y = ?)",
        "SELECT a FROM t WHERE k = ? UNION SELECT 1",
        "SELECT a, ROW_NUMBER() OVER (ORDER BY a) FROM t WHERE k = ?",
        "SELECT a FROM t WHERE k = ? LIMIT 3 OFFSET 1",
        "SELECT COUNT(*) + 1 FROM t WHERE k = ?",
        "SELECT a FROM t WHERE k = ? + 1",
        "DELETE FROM t WHERE k = ?",
    ],
)
def test_what_is_not_understood_is_refused(sql: str):
    assert batched(sql, 0) is None


def test_question_marks_in_texts_are_no_placeholders():
    assert placeholders("SELECT '?' FROM t WHERE a = ? -- ?\n AND b = \"?\"") == 1
