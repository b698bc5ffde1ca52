from __future__ import annotations

from flask.testing import FlaskClient


def test_cart_starts_empty(client: FlaskClient) -> None:
    assert client.get("/cart").json == {"items": [], "total": "0.00"}


def test_items_add_up(client: FlaskClient) -> None:
    client.post("/cart/items", json={"product": 5, "quantity": 2})
    client.post("/cart/items", json={"product": 5, "quantity": 1})
    cart = client.get("/cart").json
    assert cart["items"][0]["quantity"] == 3
    assert cart["total"] == "244.05"


def test_item_without_product_is_refused(client: FlaskClient) -> None:
    assert client.post("/cart/items", json={"quantity": 2}).status_code == 400


def test_quantity_must_be_positive(client: FlaskClient) -> None:
    assert client.post("/cart/items", json={"product": 5, "quantity": 0}).status_code == 400


def test_unknown_product_is_not_found(client: FlaskClient) -> None:
    reply = client.post("/cart/items", json={"product": 99999, "quantity": 1})
    assert reply.status_code == 404
