"""Full-text search over names and descriptions."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from shop.database import Database, database
from shop.products import COLUMNS, JOINED, Product
from shop.telemetry import traced

blueprint = Blueprint("search", __name__)

SHOWN = 20


def matching(db: Database, column: str, word: str) -> list[Product]:
    """The products whose `column` contains a word."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM {JOINED} WHERE products.{column} LIKE ? ORDER BY products.id",
        (f"%{word}%",),
    ).fetchall()
    return [Product.of(row) for row in rows]


@traced
def find(db: Database, words: list[str]) -> dict[str, Any]:
    """Products that match any word: those named so first, then those described so."""
    hits: list[Product] = []
    seen: set[Product] = set()
    for column in ("name", "description"):
        for word in words:
            for product in matching(db, column, word):
                if product not in seen:
                    seen.add(product)
                    hits.append(product)
    return {"total": len(hits), "products": [product.shown() for product in hits[:SHOWN]]}


@blueprint.get("/search")
def search() -> Response:
    words = request.args.get("q", "").split()
    if not words:
        raise BadRequest("Say what to search for: /search?q=lamp.")
    return jsonify(find(database(), words))
