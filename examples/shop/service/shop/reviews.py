"""What customers say about a product."""

from __future__ import annotations

import sqlite3
from typing import Any

from flask import Blueprint, Response, jsonify

from shop.database import Database, database
from shop.products import JOINED, product_or_404
from shop.telemetry import traced

blueprint = Blueprint("reviews", __name__)


def of_product(db: Database, product_id: int) -> list[sqlite3.Row]:
    """The reviews of a product, latest first."""
    return db.execute(
        "SELECT author, stars, created FROM reviews WHERE product_id = ?"
        " ORDER BY created DESC, id DESC",
        (product_id,),
    ).fetchall()


def latest(db: Database, product_id: int) -> sqlite3.Row | None:
    found = of_product(db, product_id)
    return found[0] if found else None


def averages(db: Database, category: str) -> dict[int, float]:
    """The average stars of those products of a category that have a review."""
    rows = db.execute(
        "SELECT product_id, ROUND(AVG(stars), 1) AS stars FROM reviews WHERE product_id IN"
        f" (SELECT products.id FROM {JOINED} WHERE categories.slug = ?) GROUP BY product_id",
        (category,),
    ).fetchall()
    return {row["product_id"]: row["stars"] for row in rows}


@traced
def review_page(db: Database, product_id: int) -> dict[str, Any]:
    """All reviews of a product and their average, None where there is no review."""
    product_or_404(db, product_id)
    found = of_product(db, product_id)
    stars = [review["stars"] for review in found]
    return {
        "product": product_id,
        "count": len(stars),
        "average": round(sum(stars) / len(stars), 2) if stars else None,
        "reviews": [
            {"author": review["author"] or "anonymous", "stars": review["stars"]}
            for review in found
        ],
    }


@blueprint.get("/products/<int:product_id>/reviews")
def show_reviews(product_id: int) -> Response:
    return jsonify(review_page(database(), product_id))
