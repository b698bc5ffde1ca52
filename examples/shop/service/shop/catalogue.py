"""Categories and the products in them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify
from werkzeug.exceptions import NotFound

from shop import reviews
from shop.database import Database, database
from shop.products import COLUMNS, JOINED, Product, product_or_404
from shop.telemetry import traced

blueprint = Blueprint("catalogue", __name__)


@traced
def categories(db: Database) -> list[dict[str, Any]]:
    """Every category with the number of its products."""
    rows = db.execute(
        "SELECT slug, categories.name, COUNT(*) AS products FROM categories"
        " JOIN products ON products.category_id = categories.id GROUP BY categories.id"
        " ORDER BY categories.name"
    ).fetchall()
    return [dict(row) for row in rows]


@traced
def category_page(db: Database, slug: str) -> list[dict[str, Any]]:
    """The products of a category by name, each with its stars, what is in stock and where."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM {JOINED} WHERE categories.slug = ? ORDER BY products.name", (slug,)
    ).fetchall()
    stars = reviews.averages(db, slug)
    stocks = {
        stock["product_id"]: stock
        for stock in db.execute(
            "SELECT product_id, quantity, warehouse FROM stock WHERE product_id IN"
            f" (SELECT products.id FROM {JOINED} WHERE categories.slug = ?)",
            (slug,),
        )
    }
    shown = []
    for row in rows:
        entry = Product.of(row).shown()
        entry["stars"] = stars.get(row["id"])
        stock = stocks[row["id"]]
        entry["stock"] = stock["quantity"]
        entry["warehouse"] = stock["warehouse"]
        shown.append(entry)
    return shown


@traced
def product_page(db: Database, product_id: int) -> dict[str, Any]:
    """One product with its description and its latest review."""
    product = product_or_404(db, product_id)
    row = db.execute("SELECT description FROM products WHERE id = ?", (product_id,)).fetchone()
    page = product.shown()
    page["description"] = row["description"]
    latest = reviews.latest(db, product_id)
    if latest is not None:
        page["latest_review"] = {"stars": latest["stars"], "created": latest["created"]}
    return page


@blueprint.get("/categories")
def list_categories() -> Response:
    return jsonify(categories(database()))


@blueprint.get("/categories/<slug>")
def show_category(slug: str) -> Response:
    products = category_page(database(), slug)
    if not products:
        raise NotFound(f"There is no category {slug}.")
    return jsonify(products)


@blueprint.get("/products/<int:product_id>")
def show_product(product_id: int) -> Response:
    return jsonify(product_page(database(), product_id))
