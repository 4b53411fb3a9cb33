"""Adding up rows of counts inside PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, FromClause, Select, Subquery, and_, cast, func, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by, array

from shared.analytics.tables import ARRAYS, NUMBERS


def sums(counts: FromClause, keys: Sequence[str]) -> Select[Any]:
    """The counts added up: a row for each value of the keys, or one of all for none; arrays by element.

    Args:
        counts: with the columns of CountsRow that are counts, and the keys.
    """
    numbers, arrays = _numbers(counts, keys), _arrays(counts, keys)
    same = and_(true(), *(numbers.c[key] == arrays.c[key] for key in keys))
    shown = [*(numbers.c[name] for name in (*keys, *NUMBERS)), *(arrays.c[name] for name in ARRAYS)]
    return select(*shown).join_from(numbers, arrays, same)


def sum_of_arrays(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    """Two arrays added element by element; the shorter goes on with zeros."""
    pairs = func.unnest(one, other).table_valued("a", "b", with_ordinality="i").render_derived()
    summed = func.coalesce(pairs.c.a, 0) + func.coalesce(pairs.c.b, 0)
    return func.array(select(summed).order_by(pairs.c.i).scalar_subquery())


def _numbers(counts: FromClause, keys: Sequence[str]) -> Subquery:
    by = [counts.c[key] for key in keys]
    return select(*by, *(_sum(counts.c[name]).label(name) for name in NUMBERS)).group_by(*by).subquery()


def _arrays(counts: FromClause, keys: Sequence[str]) -> Subquery:
    elements = (
        func.unnest(*(counts.c[name] for name in ARRAYS))
        .table_valued(*ARRAYS, with_ordinality="i")
        .render_derived()
    )
    by = [counts.c[key] for key in keys]
    each = (
        select(*by, elements.c.i, *(_sum(elements.c[name]).label(name) for name in ARRAYS))
        .select_from(counts)
        .join(elements, true())
        .group_by(*by, elements.c.i)
        .subquery()
    )
    again = [each.c[key] for key in keys]
    in_order = (_in_order(each.c[name], each.c.i).label(name) for name in ARRAYS)
    return select(*again, *in_order).group_by(*again).subquery()


def _in_order(values: ColumnElement[Any], position: ColumnElement[Any]) -> ColumnElement[Any]:
    """The values as an array; an empty one where there are none."""
    return func.coalesce(func.array_agg(aggregate_order_by(values, position)), array([], type_=BigInteger))


def _sum(values: ColumnElement[Any]) -> ColumnElement[int]:
    """PostgreSQL's sum of bigints is a numeric; NULL is what an array's end was filled up with."""
    return cast(func.coalesce(func.sum(values), 0), BigInteger)
