"""Checkout and the orders of a customer."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest, NotFound

from shop.database import Database, database
from shop.products import money
from shop.sessions import session_id
from shop.telemetry import traced

blueprint = Blueprint("orders", __name__)


@traced
def place(db: Database, session: str, customer_id: int) -> int:
    """Turn the cart of a session into an order and return its number."""
    items = db.execute(
        "SELECT product_id, cart_items.quantity, cents FROM cart_items"
        " JOIN products ON products.id = cart_items.product_id"
        " WHERE session_id = ? ORDER BY product_id",
        (session,),
    ).fetchall()
    if not items:
        raise BadRequest("The cart is empty.")
    today = datetime.now(UTC).date().isoformat()
    db.execute("BEGIN IMMEDIATE")
    number = db.execute(
        "INSERT INTO orders (customer_id, placed) VALUES (?, ?)", (customer_id, today)
    ).lastrowid
    for position, item in enumerate(items, start=1):
        db.execute(
            "INSERT INTO order_lines VALUES (?, ?, ?, ?, ?)",
            (number, position, item["product_id"], item["quantity"], item["cents"]),
        )
    db.execute("DELETE FROM cart_items WHERE session_id = ?", (session,))
    db.execute("COMMIT")
    assert number is not None
    return number


@traced
def history(db: Database, customer_id: int) -> list[dict[str, Any]]:
    """The orders of a customer with their lines, latest first."""
    orders = db.execute(
        "SELECT id, placed FROM orders WHERE customer_id = ? ORDER BY placed DESC, id DESC",
        (customer_id,),
    ).fetchall()
    lines = defaultdict(list)
    for line in db.execute(
        "SELECT order_id, product_id, quantity, cents FROM order_lines WHERE order_id IN"
        " (SELECT id FROM orders WHERE customer_id = ?) ORDER BY order_id, position",
        (customer_id,),
    ):
        lines[line["order_id"]].append(line)
    return [summary(order["id"], order["placed"], lines[order["id"]]) for order in orders]


def summary(number: int, placed: str, lines: list[Any]) -> dict[str, Any]:
    total = sum(line["quantity"] * line["cents"] for line in lines)
    return {"order": number, "placed": placed, "lines": len(lines), "total": money(total)}


@blueprint.post("/orders")
def place_order() -> tuple[Response, int]:
    customer_id = request.get_json().get("customer")
    if not isinstance(customer_id, int):
        raise BadRequest("An order names its customer.")
    return jsonify(order=place(database(), session_id(), customer_id)), 201


@blueprint.get("/customers/<int:customer_id>/orders")
def show_orders(customer_id: int) -> Response:
    found = history(database(), customer_id)
    if not found:
        raise NotFound(f"Customer {customer_id} has no orders.")
    return jsonify(found)
