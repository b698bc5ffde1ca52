"""The sample assortment: the same rows every time, for trying the shop out and for its tests."""

from __future__ import annotations

import random
import sqlite3
from datetime import date, timedelta
from importlib import resources
from pathlib import Path

CATEGORIES = ("Garden", "Kitchen", "Lighting", "Office", "Outdoor", "Storage", "Textiles", "Tools")
MATERIALS = ("Oak", "Steel", "Cotton", "Linen", "Glass", "Cork", "Brass", "Bamboo")
THINGS = ("Box", "Lamp", "Chair", "Rack", "Mat", "Bowl", "Hook", "Bench", "Tray", "Shelf")
VIRTUES = ("sturdy", "light", "washable", "foldable", "handmade", "recycled")
FIRST_NAMES = ("Ada", "Bela", "Chloe", "Dmitri", "Edda", "Farid", "Gesa", "Hugo", "Ines", "Jonas")
LAST_NAMES = ("Ahrens", "Brandt", "Costa", "Dahl", "Evers", "Fiala", "Grau", "Holm")
CURRENCIES = (("EUR", 1.0), ("USD", 1.08), ("GBP", 0.85), ("CHF", 0.95))

PRODUCTS_PER_CATEGORY = 60
CUSTOMERS = 48
ORDERS_PER_CUSTOMER = 100
FIRST_DAY = date(2024, 1, 1)


def create(path: Path) -> None:
    """Write the schema and the sample rows to a new SQLite file at `path`."""
    connection = sqlite3.connect(path)
    with connection:
        connection.executescript(resources.files("shop").joinpath("schema.sql").read_text("utf-8"))
        fill(connection, random.Random(20240101))
    connection.close()


def fill(connection: sqlite3.Connection, draw: random.Random) -> None:
    """Insert the sample rows."""
    insert_products(connection, draw)
    insert_reviews(connection, draw)
    insert_prices(connection)
    insert_orders(connection, draw)


def insert_products(connection: sqlite3.Connection, draw: random.Random) -> None:
    for category_id, name in enumerate(CATEGORIES, start=1):
        connection.execute(
            "INSERT INTO categories VALUES (?, ?, ?)", (category_id, name.lower(), name)
        )
    for product_id in product_ids():
        category = CATEGORIES[(product_id - 1) % len(CATEGORIES)]
        material, thing = draw.choice(MATERIALS), draw.choice(THINGS)
        virtues = " and ".join(draw.sample(VIRTUES, 2))
        row = (
            product_id,
            (product_id - 1) % len(CATEGORIES) + 1,
            f"{material} {thing} {product_id}",
            f"A {virtues} {thing.lower()} of {material.lower()} for {category.lower()}.",
            draw.randrange(400, 20000, 5),
        )
        connection.execute("INSERT INTO products VALUES (?, ?, ?, ?, ?)", row)
        connection.execute(
            "INSERT INTO stock VALUES (?, ?, ?)",
            (product_id, draw.choice(("North", "South", "Harbour")), draw.randrange(0, 80)),
        )


def insert_reviews(connection: sqlite3.Connection, draw: random.Random) -> None:
    """Every ninth product has no review yet; some reviewers do not give their name."""
    for product_id in product_ids():
        if product_id % 9 == 0:
            continue
        for number in range(draw.randint(1, 6)):
            author = None if draw.random() < 0.18 else person(draw)
            day = FIRST_DAY + timedelta(days=30 * number + draw.randrange(30))
            connection.execute(
                "INSERT INTO reviews (product_id, author, stars, created) VALUES (?, ?, ?, ?)",
                (product_id, author, draw.randint(2, 5), day.isoformat()),
            )


def insert_prices(connection: sqlite3.Connection) -> None:
    """Most products have tiers; every seventh sells only at its list price."""
    products = connection.execute("SELECT id, cents FROM products ORDER BY id").fetchall()
    for product_id, cents in products:
        if product_id % 7 == 0:
            continue
        for minimum, percent in ((1, 100), (5, 95), (20, 88)):
            connection.execute(
                "INSERT INTO price_tiers VALUES (?, ?, ?)",
                (product_id, minimum, cents * percent // 100),
            )
    for number, category in enumerate(CATEGORIES):
        for minimum in range(1000, 17000, 2000):
            rule = f"category={category.lower()};minimum={minimum};percent={2 + number % 4}"
            connection.execute("INSERT INTO discounts (rule) VALUES (?)", (rule,))
    connection.executemany("INSERT INTO currencies VALUES (?, ?)", CURRENCIES)


def insert_orders(connection: sqlite3.Connection, draw: random.Random) -> None:
    last_product = PRODUCTS_PER_CATEGORY * len(CATEGORIES)
    order_id = 0
    for customer_id in range(1, CUSTOMERS + 1):
        connection.execute("INSERT INTO customers VALUES (?, ?)", (customer_id, person(draw)))
        for _ in range(ORDERS_PER_CUSTOMER):
            order_id += 1
            placed = FIRST_DAY + timedelta(days=draw.randrange(360))
            connection.execute(
                "INSERT INTO orders VALUES (?, ?, ?)", (order_id, customer_id, placed.isoformat())
            )
            for position in range(1, draw.randint(2, 4)):
                line = (
                    order_id,
                    position,
                    draw.randint(1, last_product),
                    draw.randint(1, 4),
                    draw.randrange(400, 20000, 5),
                )
                connection.execute("INSERT INTO order_lines VALUES (?, ?, ?, ?, ?)", line)


def product_ids() -> range:
    return range(1, PRODUCTS_PER_CATEGORY * len(CATEGORIES) + 1)


def person(draw: random.Random) -> str:
    return f"{draw.choice(FIRST_NAMES)} {draw.choice(LAST_NAMES)}"
