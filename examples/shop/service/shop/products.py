"""What a product is, for every part of the shop."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import NotFound

from shop.database import Database

COLUMNS = "products.id, products.name, products.cents, categories.slug AS category"
JOINED = "products JOIN categories ON categories.id = products.category_id"


@dataclass(frozen=True)
class Product:
    """A product as it is shown; the list price is in euro cents."""

    id: int
    name: str
    category: str
    cents: int

    @classmethod
    def of(cls, row: sqlite3.Row) -> Product:
        return cls(row["id"], row["name"], row["category"], row["cents"])

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "category": self.category,
            "price": money(self.cents),
        }


def product_or_404(db: Database, product_id: int) -> Product:
    row = db.execute(
        f"SELECT {COLUMNS} FROM {JOINED} WHERE products.id = ?", (product_id,)
    ).fetchone()
    if row is None:
        raise NotFound(f"There is no product {product_id}.")
    return Product.of(row)


def money(cents: int) -> str:
    """Cents as a decimal amount: 1999 is 19.99."""
    return f"{cents // 100}.{cents % 100:02d}"
