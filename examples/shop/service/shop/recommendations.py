"""Customers who bought this also bought …"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify

from shop.database import Database, database
from shop.products import COLUMNS, JOINED, Product, product_or_404
from shop.telemetry import traced

blueprint = Blueprint("recommendations", __name__)

SHOWN = 8
REMEMBERED = 240


@dataclass(frozen=True)
class Purchase:
    """A product that was bought, and how many of it."""

    product: Product
    quantity: int


def bought_with(db: Database, product: Product) -> list[Purchase]:
    """The latest purchases by customers who bought the product."""
    rows = db.execute(
        f"SELECT {COLUMNS}, order_lines.quantity FROM {JOINED}"
        " JOIN order_lines ON order_lines.product_id = products.id"
        " WHERE order_lines.order_id IN (SELECT id FROM orders WHERE customer_id IN ("
        "SELECT customer_id FROM orders JOIN order_lines ON order_lines.order_id = orders.id"
        " WHERE order_lines.product_id = ?)) ORDER BY order_lines.order_id DESC, position LIMIT ?",
        (product.id, REMEMBERED),
    ).fetchall()
    return [Purchase(Product.of(row), row["quantity"]) for row in rows]


def others(db: Database, product: Product) -> list[Product]:
    """Every product but one."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM {JOINED} WHERE products.id <> ? ORDER BY products.id",
        (product.id,),
    ).fetchall()
    return [Product.of(row) for row in rows]


@traced
def recommend(db: Database, product_id: int) -> list[dict[str, Any]]:
    """The products that the buyers of a product bought most of late."""
    product = product_or_404(db, product_id)
    bought: defaultdict[Product, int] = defaultdict(int)
    for purchase in bought_with(db, product):
        bought[purchase.product] += purchase.quantity
    ranked = [(bought[other], other) for other in others(db, product)]
    ranked.sort(key=lambda entry: (-entry[0], entry[1].id))
    return [{**other.shown(), "bought": count} for count, other in ranked[:SHOWN]]


@blueprint.get("/products/<int:product_id>/recommendations")
def show_recommendations(product_id: int) -> Response:
    return jsonify(recommend(database(), product_id))
