"""Prices: tiers by quantity, discounts by category, currencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from shop.database import Database, database
from shop.products import COLUMNS, JOINED, Product, money, product_or_404
from shop.telemetry import traced

blueprint = Blueprint("prices", __name__)


@dataclass(frozen=True)
class Discount:
    """`percent` off for products of a category from a list price of `minimum` cents on."""

    category: str
    minimum: int
    percent: int

    @classmethod
    def parse(cls, rule: str) -> Discount:
        """Read a rule such as ``category=tools;minimum=2000;percent=3``."""
        parts = dict(part.split("=", 1) for part in rule.split(";"))
        return cls(parts["category"], int(parts["minimum"]), int(parts["percent"]))

    def applies(self, product: Product) -> bool:
        return product.category == self.category and product.cents >= self.minimum


def discounts(db: Database) -> list[Discount]:
    """The rules in force."""
    rows = db.execute("SELECT rule FROM discounts ORDER BY id").fetchall()
    return [Discount.parse(row["rule"]) for row in rows]


def reduced(product: Product, rules: list[Discount]) -> int:
    """The price of a product after its best discount, in cents."""
    percent = max((rule.percent for rule in rules if rule.applies(product)), default=0)
    return product.cents * (100 - percent) // 100


def rate(db: Database, currency: str) -> float:
    """Units of a currency for one euro."""
    row = db.execute("SELECT per_euro FROM currencies WHERE code = ?", (currency,)).fetchone()
    if row is None:
        raise BadRequest(f"We do not sell in {currency}.")
    return float(row["per_euro"])


@traced
def price_list(db: Database, category: str, currency: str) -> list[dict[str, Any]]:
    """The reduced prices of a category in a currency, by product."""
    per_euro = rate(db, currency)
    rules = discounts(db)
    rows = db.execute(
        f"SELECT {COLUMNS} FROM {JOINED} WHERE categories.slug = ? ORDER BY products.id",
        (category,),
    ).fetchall()
    prices = []
    for product in map(Product.of, rows):
        cents = round(reduced(product, rules) * per_euro)
        prices.append({"id": product.id, "price": money(cents), "currency": currency})
    return prices


@traced
def quote(db: Database, product_id: int, quantity: int) -> dict[str, Any]:
    """The price of a quantity of a product: its best tier, else its list price."""
    product = product_or_404(db, product_id)
    tiers = db.execute(
        "SELECT minimum, cents FROM price_tiers WHERE product_id = ? AND minimum <= ?"
        " ORDER BY minimum",
        (product_id, quantity),
    ).fetchall()
    each = tiers[-1]["cents"] if tiers else product.cents
    return {
        "product": product_id,
        "quantity": quantity,
        "each": money(each),
        "total": money(each * quantity),
    }


@traced
def deals(db: Database, limit: str | None) -> list[dict[str, Any]]:
    """The ten cheapest products, or the ten dearest up to a limit in whole euros."""
    order, ceiling = ("ASC", 10**9) if not limit else ("DESC", int(limit) * 100)
    rows = db.execute(
        f"SELECT {COLUMNS} FROM {JOINED} WHERE products.cents <= ?"
        f" ORDER BY products.cents {order}, products.id LIMIT 10",
        (ceiling,),
    ).fetchall()
    return [Product.of(row).shown() for row in rows]


@traced
def exchange_rates(db: Database) -> dict[str, float]:
    rows = db.execute("SELECT code, per_euro FROM currencies ORDER BY code").fetchall()
    return {row["code"]: row["per_euro"] for row in rows}


@blueprint.get("/pricelist/<category>")
def show_price_list(category: str) -> Response:
    return jsonify(price_list(database(), category, request.args.get("currency", "EUR")))


@blueprint.get("/products/<int:product_id>/quote")
def show_quote(product_id: int) -> Response:
    quantity = request.args.get("quantity", default=1, type=int)
    if quantity < 1:
        raise BadRequest("Ask for one piece at least.")
    return jsonify(quote(database(), product_id, quantity))


@blueprint.get("/deals")
def show_deals() -> Response:
    limit = request.args.get("limit")
    if limit and not limit.isdecimal():
        raise BadRequest("The limit is an amount in whole euros.")
    return jsonify(deals(database(), limit))


@blueprint.get("/currencies")
def show_exchange_rates() -> Response:
    return jsonify(exchange_rates(database()))
