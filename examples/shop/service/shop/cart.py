"""The cart of a session."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from shop.database import Database, database
from shop.products import COLUMNS, JOINED, Product, money, product_or_404
from shop.sessions import session_id
from shop.telemetry import traced

blueprint = Blueprint("cart", __name__)


@traced
def add(db: Database, session: str, item: dict[str, Any]) -> None:
    """Put an item ``{"product": id, "quantity": n}`` into the cart; one piece by default."""
    product = product_or_404(db, item["product"])
    quantity = item.get("quantity", 1)
    if quantity < 1:
        raise BadRequest("Add one piece at least.")
    db.execute(
        "INSERT INTO cart_items VALUES (?, ?, ?) ON CONFLICT (session_id, product_id)"
        " DO UPDATE SET quantity = quantity + excluded.quantity",
        (session, product.id, quantity),
    )


@traced
def contents(db: Database, session: str) -> dict[str, Any]:
    """The cart of a session with its total."""
    rows = db.execute(
        f"SELECT {COLUMNS}, cart_items.quantity FROM {JOINED}"
        " JOIN cart_items ON cart_items.product_id = products.id"
        " WHERE cart_items.session_id = ? ORDER BY products.id",
        (session,),
    ).fetchall()
    items = [{**Product.of(row).shown(), "quantity": row["quantity"]} for row in rows]
    total = sum(row["cents"] * row["quantity"] for row in rows)
    return {"items": items, "total": money(total)}


@blueprint.post("/cart/items")
def add_item() -> tuple[Response, int]:
    item = request.get_json()
    if not isinstance(item, dict) or not isinstance(item.get("product"), int):
        raise BadRequest("An item names its product.")
    add(database(), session_id(), item)
    return jsonify(contents(database(), session_id())), 201


@blueprint.get("/cart")
def show_cart() -> Response:
    return jsonify(contents(database(), session_id()))
