"""An analysis in DuckDB's dialect, as ClickHouse understands it with the same answer.

sqlglot translates the syntax. Where a function or a default differs, `OVERRIDES` says
what gives the same answer:

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

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from selfheal.errors import InvalidInput
from selfheal.store.collector import AttributeType, Layout, attribute, literal
from selfheal.store.model import ALWAYS, Period

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
_NUMBERS: Mapping[str, str] = {
    "DOUBLE": "Float64",
    "FLOAT": "Float32",
    "BIGINT": "Int64",
    "INT": "Int32",
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
    zipped = _function("arrayJoin", _function("arrayZip", *(one.this for one in lists)))
    row = exp.to_identifier("row_")
    places = [
        exp.alias_(_function("tupleElement", exp.Column(this=row), exp.Literal.number(place)), name)
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


_WHOLE_PARTITION = exp.WindowSpec(
    kind="ROWS",
    start="UNBOUNDED",
    start_side="PRECEDING",
    end="UNBOUNDED",
    end_side="FOLLOWING",
)


class Rewrite:
    """Replaces what differs, node by node."""

    def __init__(self, attributes: AttributeType, types: Mapping[str, str]) -> None:
        self.attributes = attributes
        self._types = types

    def all(self, tree: exp.Query) -> exp.Query:
        """The tree with every node replaced that differs, the innermost first."""
        for node in reversed(list(tree.bfs())):
            override = OVERRIDES.get(type(node))
            if override is not None:
                replacement = override(self, node)
                if replacement is not node:
                    node.replace(replacement)
        return tree

    def placeholder(self, node: exp.Expr) -> exp.Expr:
        name = str(node.name)
        if name not in self._types:
            raise InvalidInput(f"the parameter {name} has no value.", where="SQL")
        return exp.Var(this=f"{{{name}:{self._types[name]}}}")

    def attribute(self, node: exp.Expr) -> exp.Expr:
        """``attributes ->> 'key'``. Other JSON is left to sqlglot."""
        column, path = node.this, node.expression
        parts = path.expressions if isinstance(path, exp.JSONPath) else []
        keys = [part.this for part in parts if isinstance(part, exp.JSONPathKey)]
        if not isinstance(column, exp.Column) or column.name.lower() != "attributes":
            return node
        if not keys or len(parts) != len(keys) + 1 or not all(isinstance(k, str) for k in keys):
            raise InvalidInput(
                "attributes are read by one key.",
                where="SQL",
                hint="For example: attributes ->> 'model', attributes ->> 'event.name'",
            )
        if isinstance(node, exp.JSONExtract):
            raise InvalidInput(
                "attributes are read as text.", where="SQL", hint="Write ->> for ->."
            )
        # sqlglot takes the dots of a name like event.name for steps of a path.
        key = ".".join(keys)
        name = column.sql(dialect="clickhouse")
        return exp.Paren(this=exp.Var(this=attribute(self.attributes, name, key)))


def _exact_quantile(_: Rewrite, node: exp.Expr) -> exp.Expr:
    level = node.expression
    if level is None:  # percentile_cont(level) WITHIN GROUP (ORDER BY …): see _within_group
        return node
    if isinstance(level, exp.Array):
        return _parametrised("quantilesExactInclusive", level.expressions, node.this)
    return _parametrised("quantileExactInclusive", [level], node.this)


def _median(_: Rewrite, node: exp.Expr) -> exp.Expr:
    return _parametrised("quantileExactInclusive", [exp.Literal.number("0.5")], node.this)


def _discrete_quantile(_: Rewrite, node: exp.Expr) -> exp.Expr:
    level = node.args.get("quantile") or node.expression
    return node if level is None else _of_rank(node.this, level)


def _of_rank(value: exp.Expr, level: exp.Expr) -> exp.Expr:
    """The standard's percentile_disc: the first value whose rank reaches the level."""
    values = _function("arraySort", _function("groupArray", value))
    rank = exp.Mul(this=exp.Paren(this=level.copy()), expression=_function("count", value))
    place = _function("greatest", exp.Literal.number(1), _function("ceil", rank))
    return _function("arrayElementOrNull", values, _function("toUInt64", place))


def _within_group(_: Rewrite, node: exp.Expr) -> exp.Expr:
    function, key = node.this, node.expression.expressions[0]
    if not isinstance(function, exp.PercentileCont | exp.PercentileDisc) or key.args.get("desc"):
        raise InvalidInput(
            f"{node.sql(dialect='duckdb')} has no equivalent.",
            where="SQL",
            hint="Write quantile_cont(value, level).",
        )
    if isinstance(function, exp.PercentileDisc):
        return _of_rank(key.this, function.this)
    return _parametrised("quantileExactInclusive", [function.this], key.this)


def _parametrised(name: str, parameters: Sequence[exp.Expr], value: exp.Expr) -> exp.Expr:
    return exp.ParameterizedAgg(
        this=name, expressions=[p.copy() for p in parameters], params=[value.copy()]
    )


def _ordered_list(_: Rewrite, node: exp.Expr) -> exp.Expr:
    order = node.this
    if isinstance(order, exp.Distinct):
        return _taken(
            1,
            _function(
                "arrayDistinct", _function("groupArray", _function("tuple", order.expressions[0]))
            ),
        )
    if isinstance(order, exp.Order) and isinstance(order.this, exp.Distinct):
        return _distinct_list(order)
    if not isinstance(order, exp.Order):
        # A list keeps NULLs; groupArray alone would drop them.
        return _taken(1, _function("groupArray", _function("tuple", order)))
    directions = {bool(key.args.get("desc")) for key in order.expressions}
    if len(directions) != 1:
        raise InvalidInput(
            "a list that is ordered up by one key and down by another has no equivalent.",
            where="SQL",
            hint="Order by the negative of a number.",
        )
    sort = "arrayReverseSort" if directions.pop() else "arraySort"
    keys = [key.this for key in order.expressions]
    pairs = _function("groupArray", _function("tuple", *keys, order.this))
    return _taken(len(keys) + 1, _function(sort, pairs))


def _distinct_list(order: exp.Order) -> exp.Expr:
    """``list(DISTINCT value ORDER BY value)``: NULLs are values too."""
    value = order.this.expressions[0]
    keys = order.expressions
    if len(keys) != 1 or keys[0].this != value:
        raise InvalidInput(
            "a list of distinct values has no order but their own.",
            where="SQL",
            hint="Write list(DISTINCT value ORDER BY value).",
        )
    sort = "arrayReverseSort" if keys[0].args.get("desc") else "arraySort"
    values = _function("arrayDistinct", _function("groupArray", _function("tuple", value)))
    return _taken(1, _function(sort, values))


def _filter(_: Rewrite, node: exp.Expr) -> exp.Expr:
    """A condition on a list belongs to the aggregate inside of what makes the list."""
    if not isinstance(node.this, exp.Anonymous):
        return node
    condition = node.expression.this
    replaced = node.this.copy()
    for call in replaced.find_all(exp.Anonymous):
        if str(call.this) in ("groupArray", "count"):
            call.set("this", f"{call.this}If")
            call.append("expressions", condition.copy())
    return replaced


def _like_attributes(rewrite: Rewrite, node: exp.Expr) -> exp.Expr:
    """``attributes LIKE '%"key"%'``, or ``'%"prefix%'``: whether there is such a key."""
    column, pattern = node.this, node.expression
    if not isinstance(column, exp.Column) or column.name.lower() != "attributes":
        return node
    text = str(pattern.name)
    whole = re.fullmatch(r'%"([^%"]+)"(:?)%', text)
    start = re.fullmatch(r'%"([^%"]+)%', text)
    if not isinstance(pattern, exp.Literal) or not (whole or start):
        raise InvalidInput(
            f"attributes are no text: {text} has no equivalent.",
            where="SQL",
            hint="""Ask for a key, '%"key"%', or the beginning of one, '%"key%'.""",
        )
    name = column.sql(dialect="clickhouse")
    keys = f"mapKeys({name})" if rewrite.attributes == "map" else f"JSONAllPaths({name})"
    if whole:
        return exp.Var(this=f"has({keys}, {literal(whole[1])})")
    assert start is not None
    return exp.Var(this=f"arrayExists(k_ -> startsWith(k_, {literal(start[1])}), {keys})")


def _slice(_: Rewrite, node: exp.Expr) -> exp.Expr:
    places = node.expressions
    if len(places) != 1 or not isinstance(places[0], exp.Slice):
        return node
    first = places[0].this or exp.Literal.number(1)
    last = places[0].expression
    if last is None:
        return _function("arraySlice", node.this, first)
    length = exp.Add(
        this=exp.Sub(this=last.copy(), expression=first.copy()), expression=exp.Literal.number(1)
    )
    return _function("arraySlice", node.this, first, length)


def _texts_of_json(_: Rewrite, node: exp.Expr) -> exp.Expr:
    if str(node.expression.name) != '["VARCHAR"]':
        raise InvalidInput(f"{node.sql(dialect='duckdb')} has no equivalent.", where="SQL")
    text = _function("coalesce", node.this, exp.Literal.string(""))
    return _function("JSONExtract", text, exp.Literal.string("Array(String)"))


def _regexp_group(_: Rewrite, node: exp.Expr) -> exp.Expr:
    """DuckDB gives the group, and '' where nothing matches; so does extractGroups, element-wise."""
    group = node.args.get("group")
    number = int(group.name) if group is not None else 0
    if number == 0:
        return _function("extract", node.this, node.expression)
    groups = _function("extractGroups", _function("assumeNotNull", node.this), node.expression)
    return _function("arrayElement", groups, exp.Literal.number(number))


def _taken(place: int, values: exp.Expr) -> exp.Expr:
    """The element at `place` of each tuple of an array."""
    row = exp.to_identifier("row_")
    element = _function("tupleElement", exp.Column(this=row), exp.Literal.number(place))
    return _function("arrayMap", exp.Lambda(this=element, expressions=[row]), values)


def _try_cast(_: Rewrite, node: exp.Expr) -> exp.Expr:
    target = node.args["to"].this
    name = _NUMBERS.get(getattr(target, "name", str(target)))
    if name is None:
        return node
    return _function(f"to{name}OrNull", _function("trimBoth", _function("toString", node.this)))


def _window(_: Rewrite, node: exp.Expr) -> exp.Expr:
    function = node.this
    if not isinstance(function, (exp.Lag, exp.Lead)):
        return node
    name = "lagInFrame" if isinstance(function, exp.Lag) else "leadInFrame"
    arguments: list[exp.Expr] = [exp.Anonymous(this="toNullable", expressions=[function.this])]
    arguments += [
        function.args[argument]
        for argument in ("offset", "default")
        if function.args.get(argument) is not None
    ]
    window = node.copy()
    window.set("this", exp.Anonymous(this=name, expressions=[a.copy() for a in arguments]))
    window.set("spec", _WHOLE_PARTITION.copy())
    return window


def _end_of_window(_: Rewrite, node: exp.Expr) -> exp.Expr:
    if isinstance(node.parent, (exp.IgnoreNulls, exp.RespectNulls)):
        return node
    return exp.RespectNulls(this=node.copy())


def _length(_: Rewrite, node: exp.Expr) -> exp.Expr:
    # DuckDB has one name for both; only a list that is made right here is known to be one.
    is_list = isinstance(node.this, exp.Array) or (
        isinstance(node.this, exp.Anonymous) and str(node.this.this) == "arrayMap"
    )
    return _function("length", node.this) if is_list else node


def _membership(_: Rewrite, node: exp.Expr) -> exp.Expr:
    # Over shards the subquery is to be asked once, for all of them.
    if node.args.get("query") is not None:
        node.set("is_global", True)
    return node


def _named_function(name: str) -> Callable[[Rewrite, exp.Expr], exp.Expr]:
    return lambda _, node: _function(name, node.this)


def _split_part(_: Rewrite, node: exp.Expr) -> exp.Expr:
    parts = _function("splitByString", node.args["delimiter"], node.this)
    return _function("arrayElement", parts, node.args["part_index"])


def _whole_division(_: Rewrite, node: exp.Expr) -> exp.Expr:
    return _function("intDiv", node.this, node.expression)


def _struct(_: Rewrite, node: exp.Expr) -> exp.Expr:
    fields = [
        exp.alias_(item.expression.copy(), item.this.name)
        for item in node.expressions
        if isinstance(item, exp.PropertyEQ)
    ]
    return exp.Anonymous(this="tuple", expressions=fields)


def _logical(function: str) -> Callable[[Rewrite, exp.Expr], exp.Expr]:
    def rewrite(_: Rewrite, node: exp.Expr) -> exp.Expr:
        boolean = exp.Cast(this=node.this.copy(), to=exp.DataType.build("BOOLEAN"))
        return _function(function, boolean)

    return rewrite


def _by_name(_: Rewrite, node: exp.Expr) -> exp.Expr:
    """Functions that sqlglot has no class for."""
    name = str(node.this).lower()
    if name == "make_timestamp_ns":
        return _function("fromUnixTimestamp64Nano", *node.expressions, exp.Literal.string("UTC"))
    return _function(_NAMES[name], *node.expressions) if name in _NAMES else node


_NAMES = {"isfinite": "isFinite", "json_valid": "isValidJSON", "hash": "cityHash64"}
# Enough for the counts of a mode to be exact in all but absurd cases.
_COUNTERS = 10_000


def _mode(_: Rewrite, node: exp.Expr) -> exp.Expr:
    numbers = [exp.Literal.number(1), exp.Literal.number(_COUNTERS)]
    top = _parametrised("topK", numbers, node.this)
    return _function("arrayElementOrNull", top, exp.Literal.number(1))


def _json_text(node: exp.Expr) -> exp.Expr:
    """The text that is cast to JSON, '' where there is none."""
    text = node.this.this if isinstance(node.this, exp.Cast) else node.this
    return _function("coalesce", text, exp.Literal.string(""))


def _json_keys(_: Rewrite, node: exp.Expr) -> exp.Expr:
    return _function("JSONExtractKeys", _json_text(node))


def _json_type(_: Rewrite, node: exp.Expr) -> exp.Expr:
    kind = _function("toString", _function("JSONType", _json_text(node)))
    return _function("upper", kind)


def _replaced(_: Rewrite, node: exp.Expr) -> exp.Expr:
    everywhere = "g" in str(getattr(node.args.get("modifiers"), "name", "") or "")
    name = "replaceRegexpAll" if everywhere else "replaceRegexpOne"
    return _function(name, node.this, node.expression, node.args["replacement"])


def _attributes_or(_: Rewrite, node: exp.Expr) -> exp.Expr:
    """``coalesce(attributes, '')``: all attributes as one text."""
    column = node.this
    if isinstance(column, exp.Column) and column.name.lower() == "attributes":
        return _function("toJSONString", column)
    return node


def _function(name: str, *arguments: exp.Expr) -> exp.Expr:
    """A call of ClickHouse's function of this name, whatever sqlglot knows of it."""
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


OVERRIDES: Mapping[type[exp.Expr], Callable[[Rewrite, Any], exp.Expr]] = {
    exp.Placeholder: Rewrite.placeholder,
    exp.JSONExtractScalar: Rewrite.attribute,
    exp.JSONExtract: Rewrite.attribute,
    exp.PercentileCont: _exact_quantile,
    exp.Quantile: _discrete_quantile,
    exp.PercentileDisc: _discrete_quantile,
    exp.WithinGroup: _within_group,
    exp.Median: _median,
    exp.ArrayAgg: _ordered_list,
    exp.TryCast: _try_cast,
    exp.Window: _window,
    exp.FirstValue: _end_of_window,
    exp.LastValue: _end_of_window,
    exp.IntDiv: _whole_division,
    exp.Length: _length,
    exp.Upper: _named_function("upperUTF8"),
    exp.Lower: _named_function("lowerUTF8"),
    exp.In: _membership,
    exp.SplitPart: _split_part,
    exp.Struct: _struct,
    exp.LogicalOr: _logical("max"),
    exp.LogicalAnd: _logical("min"),
    exp.Anonymous: _by_name,
    exp.Coalesce: _attributes_or,
    exp.Mode: _mode,
    exp.JSONKeys: _json_keys,
    exp.JSONType: _json_type,
    exp.ArraySort: _named_function("arraySort"),
    exp.RegexpReplace: _replaced,
    exp.Filter: _filter,
    exp.Like: _like_attributes,
    exp.Bracket: _slice,
    exp.FromJson: _texts_of_json,
    exp.RegexpExtract: _regexp_group,
}
