"""What differs between DuckDB's dialect and ClickHouse's, node by node of a statement.

`OVERRIDES` says for each kind of node what gives the same answer; the rest is sqlglot's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlglot import exp

from selfheal.errors import InvalidInput
from selfheal.store.collector import AttributeType, attribute, literal

_NUMBERS: Mapping[str, str] = {
    "DOUBLE": "Float64",
    "FLOAT": "Float32",
    "BIGINT": "Int64",
    "INT": "Int32",
}
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
    values = call("arraySort", call("groupArray", value))
    rank = exp.Mul(this=exp.Paren(this=level.copy()), expression=call("count", value))
    place = call("greatest", exp.Literal.number(1), call("ceil", rank))
    return call("arrayElementOrNull", values, call("toUInt64", place))


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
            call("arrayDistinct", call("groupArray", call("tuple", order.expressions[0]))),
        )
    if isinstance(order, exp.Order) and isinstance(order.this, exp.Distinct):
        return _distinct_list(order)
    if not isinstance(order, exp.Order):
        # A list keeps NULLs; groupArray alone would drop them.
        return _taken(1, call("groupArray", call("tuple", order)))
    directions = {bool(key.args.get("desc")) for key in order.expressions}
    if len(directions) != 1:
        raise InvalidInput(
            "a list that is ordered up by one key and down by another has no equivalent.",
            where="SQL",
            hint="Order by the negative of a number.",
        )
    sort = "arrayReverseSort" if directions.pop() else "arraySort"
    keys = [key.this for key in order.expressions]
    pairs = call("groupArray", call("tuple", *keys, order.this))
    return _taken(len(keys) + 1, call(sort, pairs))


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
    values = call("arrayDistinct", call("groupArray", call("tuple", value)))
    return _taken(1, call(sort, values))


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
        return call("arraySlice", node.this, first)
    length = exp.Add(
        this=exp.Sub(this=last.copy(), expression=first.copy()), expression=exp.Literal.number(1)
    )
    return call("arraySlice", node.this, first, length)


def _texts_of_json(_: Rewrite, node: exp.Expr) -> exp.Expr:
    if str(node.expression.name) != '["VARCHAR"]':
        raise InvalidInput(f"{node.sql(dialect='duckdb')} has no equivalent.", where="SQL")
    text = call("coalesce", node.this, exp.Literal.string(""))
    return call("JSONExtract", text, exp.Literal.string("Array(String)"))


def _regexp_group(_: Rewrite, node: exp.Expr) -> exp.Expr:
    """DuckDB gives the group, and '' where nothing matches; so does extractGroups, element-wise."""
    group = node.args.get("group")
    number = int(group.name) if group is not None else 0
    if number == 0:
        return call("extract", node.this, node.expression)
    groups = call("extractGroups", call("assumeNotNull", node.this), node.expression)
    return call("arrayElement", groups, exp.Literal.number(number))


def _taken(place: int, values: exp.Expr) -> exp.Expr:
    """The element at `place` of each tuple of an array."""
    row = exp.to_identifier("row_")
    element = call("tupleElement", exp.Column(this=row), exp.Literal.number(place))
    return call("arrayMap", exp.Lambda(this=element, expressions=[row]), values)


def _try_cast(_: Rewrite, node: exp.Expr) -> exp.Expr:
    target = node.args["to"].this
    name = _NUMBERS.get(getattr(target, "name", str(target)))
    if name is None:
        return node
    return call(f"to{name}OrNull", call("trimBoth", call("toString", node.this)))


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
    return call("length", node.this) if is_list else node


def _membership(_: Rewrite, node: exp.Expr) -> exp.Expr:
    # Over shards the subquery is to be asked once, for all of them.
    if node.args.get("query") is not None:
        node.set("is_global", True)
    return node


def _named_function(name: str) -> Callable[[Rewrite, exp.Expr], exp.Expr]:
    return lambda _, node: call(name, node.this)


def _split_part(_: Rewrite, node: exp.Expr) -> exp.Expr:
    parts = call("splitByString", node.args["delimiter"], node.this)
    return call("arrayElement", parts, node.args["part_index"])


def _whole_division(_: Rewrite, node: exp.Expr) -> exp.Expr:
    return call("intDiv", node.this, node.expression)


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
        return call(function, boolean)

    return rewrite


def _by_name(_: Rewrite, node: exp.Expr) -> exp.Expr:
    """Functions that sqlglot has no class for."""
    name = str(node.this).lower()
    if name == "make_timestamp_ns":
        return call("fromUnixTimestamp64Nano", *node.expressions, exp.Literal.string("UTC"))
    return call(_NAMES[name], *node.expressions) if name in _NAMES else node


_NAMES = {"isfinite": "isFinite", "json_valid": "isValidJSON", "hash": "cityHash64"}
# Enough for the counts of a mode to be exact in all but absurd cases.
_COUNTERS = 10_000


def _mode(_: Rewrite, node: exp.Expr) -> exp.Expr:
    numbers = [exp.Literal.number(1), exp.Literal.number(_COUNTERS)]
    top = _parametrised("topK", numbers, node.this)
    return call("arrayElementOrNull", top, exp.Literal.number(1))


def _json_text(node: exp.Expr) -> exp.Expr:
    """The text that is cast to JSON, '' where there is none."""
    text = node.this.this if isinstance(node.this, exp.Cast) else node.this
    return call("coalesce", text, exp.Literal.string(""))


def _json_keys(_: Rewrite, node: exp.Expr) -> exp.Expr:
    return call("JSONExtractKeys", _json_text(node))


def _json_type(_: Rewrite, node: exp.Expr) -> exp.Expr:
    kind = call("toString", call("JSONType", _json_text(node)))
    return call("upper", kind)


def _replaced(_: Rewrite, node: exp.Expr) -> exp.Expr:
    everywhere = "g" in str(getattr(node.args.get("modifiers"), "name", "") or "")
    name = "replaceRegexpAll" if everywhere else "replaceRegexpOne"
    return call(name, node.this, node.expression, node.args["replacement"])


def _attributes_or(_: Rewrite, node: exp.Expr) -> exp.Expr:
    """``coalesce(attributes, '')``: all attributes as one text."""
    column = node.this
    if isinstance(column, exp.Column) and column.name.lower() == "attributes":
        return call("toJSONString", column)
    return node


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
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
