from __future__ import annotations

from flask.testing import FlaskClient


def test_order_takes_the_cart(client: FlaskClient) -> None:
    client.post("/cart/items", json={"product": 5, "quantity": 2})
    reply = client.post("/orders", json={"customer": 3})
    assert reply.status_code == 201
    assert client.get("/cart").json["items"] == []
    newest = client.get("/customers/3/orders").json[0]
    assert newest["order"] == reply.json["order"]
    assert newest["total"] == "162.70"


def test_empty_cart_is_refused(client: FlaskClient) -> None:
    assert client.post("/orders", json={"customer": 3}).status_code == 400


def test_order_without_customer_is_refused(client: FlaskClient) -> None:
    assert client.post("/orders", json={}).status_code == 400


def test_orders_are_listed_latest_first(client: FlaskClient) -> None:
    orders = client.get("/customers/7/orders").json
    assert len(orders) == 100
    days = [order["placed"] for order in orders]
    assert days == sorted(days, reverse=True)
    assert all(order["lines"] >= 1 for order in orders)


def test_unknown_customer_has_no_orders(client: FlaskClient) -> None:
    assert client.get("/customers/99999/orders").status_code == 404
