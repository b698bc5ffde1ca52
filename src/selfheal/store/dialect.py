"""An analysis in DuckDB's dialect, as ClickHouse understands it with the same answer.

sqlglot translates the syntax. Where a function or a default differs,
`selfheal.store.rewriting` says what gives the same answer:

* percentiles: exact and interpolated (`quantileExactInclusive`), never sampled;
* ordered lists: sorted tuples, of which the value is taken;
* attributes: a key of a Map, NULL where it is missing (a Map gives '');
* ``try_cast`` to numbers: the ``OrNull`` conversions;
* ``lag`` and ``lead``: NULL outside the window, not the type's default value;
* ``first_value`` and ``last_value``: NULLs count, as the standard has it;
* ``//``: whole-number division, which sqlglot would make one of floats.

`SETTINGS` does the same for what no rewriting reaches: unmatched rows of outer joins and
aggregates of nothing are NULL, a name means the column before it means an alias.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from selfheal.errors import InvalidInput
from selfheal.store.collector import Layout
from selfheal.store.model import ALWAYS, Period
from selfheal.store.rewriting import Rewrite, call

SETTINGS: Mapping[str, int | str] = {
    "join_use_nulls": 1,
    "aggregate_functions_null_for_empty": 1,
    "prefer_column_name_to_alias": 1,
    "enable_named_columns_in_function_tuple": 1,
    "formatdatetime_parsedatetime_m_is_month_name": 0,
    "count_distinct_implementation": "uniqExact",
    "distributed_product_mode": "global",
    "joined_subquery_requires_alias": 0,
}


def translate(sql: str, layout: Layout, types: Mapping[str, str], period: Period = ALWAYS) -> str:
    """One SELECT over the event model as one over the collector's tables in `layout`.

    `types` are the ClickHouse types of the parameters. Raises InvalidInput where the
    statement is no SELECT, reads a table that is not there, or uses what has no
    equivalent.
    """
    tree = parsed(sql)
    sources = layout.sources()
    for table in tables_of(tree):
        if table not in sources:
            raise InvalidInput(
                f"the table {table} is not among those of the collector.",
                where="SQL",
                hint=f"Here are {', '.join(sources) or 'none of its tables'}.",
            )
    return translate_tree(tree, layout, types, period)


def translate_tree(
    tree: exp.Query,
    layout: Layout,
    types: Mapping[str, str],
    period: Period = ALWAYS,
    made: Mapping[str, exp.Query] | None = None,
) -> str:
    """A parsed statement as ClickHouse's; `tree` is used up.

    `made` are statements whose results it reads by name, in the order of their making.
    """
    sources, made = layout.sources(), made or {}
    needed = _needed(tree, made)
    queries = [*(made[name].copy() for name in needed), tree]
    used = sorted({table for query in queries for table in tables_of(query)} & sources.keys())
    _reject_mixed(used, layout)
    rewrite = Rewrite(layout.attributes(used[0]) if used else "map", types)
    *before, statement = (rewrite.all(_named(query)).sql(dialect="clickhouse") for query in queries)
    return _with_tables(
        statement,
        {table: sources[table](period) for table in used} | dict(zip(needed, before, strict=True)),
    )


def _needed(tree: exp.Query, made: Mapping[str, exp.Query]) -> list[str]:
    """The names in `made` that a statement reads, by itself or through others of them."""
    found: set[str] = set()
    ahead = [tree]
    while ahead:
        for name in tables_of(ahead.pop()):
            if name in made and name not in found:
                found.add(name)
                ahead.append(made[name])
    return [name for name in made if name in found]


def parsed(sql: str) -> exp.Query:
    """One SELECT in DuckDB's dialect. Raises InvalidInput where it is none."""
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="duckdb") if tree is not None]
    except SqlglotError as error:
        message = " ".join(str(error).split())
        raise InvalidInput(f"the statement cannot be read: {message}.", where="SQL") from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise InvalidInput(
            "a query is one SELECT.", where="SQL", hint="The store is only read here."
        )
    return trees[0]


def tables_of(tree: exp.Query) -> list[str]:
    """The tables that are read and no names of the statement's own subqueries."""
    own = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    named = (table for table in tree.find_all(exp.Table) if isinstance(table.this, exp.Identifier))
    return sorted({table.name.lower() for table in named} - own)


def _named(tree: exp.Query) -> exp.Query:
    """With the names that DuckDB gives: a column of a table is called as it is, without it."""
    for select in tree.find_all(exp.Select):
        names: set[str] = set()
        for projection in select.expressions:
            if isinstance(projection, exp.Column) and projection.table and projection.name != "*":
                # Of two columns of one name the second has a number, as in a table of DuckDB's.
                called = f"{projection.name}_1" if projection.name in names else projection.name
                names.add(called)
                name = exp.to_identifier(called, quoted=projection.this.args.get("quoted"))
                projection.replace(exp.Alias(this=projection.copy(), alias=name))
        _order_by_places(select)
        _unnest_side_by_side(select)
    return tree


def _unnest_side_by_side(select: exp.Select) -> None:
    """Lists that are unnested together give rows side by side; in ClickHouse, each with each."""
    lists = [one.unalias() for one in select.expressions]
    if sum(isinstance(one, exp.Explode) for one in lists) < 2:
        return
    if select.args.get("from_") or not all(isinstance(one, exp.Explode) for one in lists):
        raise InvalidInput(
            "several lists are unnested beside other things, which has no equivalent.",
            where="SQL",
            hint="Unnest one list of structures.",
        )
    zipped = call("arrayJoin", call("arrayZip", *(one.this for one in lists)))
    row = exp.to_identifier("row_")
    places = [
        exp.alias_(call("tupleElement", exp.Column(this=row), exp.Literal.number(place)), name)
        for place, name in enumerate((one.alias for one in select.expressions), 1)
    ]
    select.set("expressions", places)
    select.from_(exp.Subquery(this=exp.select(exp.alias_(zipped, "row_"))), copy=False)


def _order_by_places(select: exp.Select) -> None:
    """What a result is ordered by is first of all what it is called in the result.

    ClickHouse would take the column of that name (`SETTINGS`); a place means the same.
    """
    order = select.args.get("order")
    names = [projection.alias for projection in select.expressions]
    for key in order.expressions if order else ():
        if isinstance(key.this, exp.Column) and not key.this.table and key.this.name in names:
            key.set("this", exp.Literal.number(names.index(key.this.name) + 1))


def _reject_mixed(used: Collection[str], layout: Layout) -> None:
    if len({layout.attributes(table) for table in used}) > 1:
        raise InvalidInput(
            f"the tables of {', '.join(used)} store attributes in different ways.",
            where="SQL",
            hint="Ask them one by one.",
        )


def _with_tables(sql: str, tables: Mapping[str, str]) -> str:
    """The statement behind the subqueries that give it the tables that it reads."""
    if not tables:
        return sql
    ctes = ", ".join(f"{name} AS ({source})" for name, source in tables.items())
    for start in ("WITH RECURSIVE ", "WITH "):
        if sql.startswith(start):
            return f"{start}{ctes}, {sql.removeprefix(start)}"
    return f"WITH {ctes} {sql}"
