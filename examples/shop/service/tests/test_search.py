from __future__ import annotations

from flask.testing import FlaskClient


def test_search_finds_names(client: FlaskClient) -> None:
    found = client.get("/search?q=lamp").json
    assert found["total"] > 0
    assert all("Lamp" in product["name"] for product in found["products"])


def test_search_finds_each_product_once(client: FlaskClient) -> None:
    products = client.get("/search?q=oak+lamp").json["products"]
    assert len({product["id"] for product in products}) == len(products) == 20


def test_names_come_before_descriptions(client: FlaskClient) -> None:
    found = client.get("/search?q=bowl+garden").json
    assert "Bowl" in found["products"][0]["name"]
    assert found["total"] > 60


def test_search_without_words_is_refused(client: FlaskClient) -> None:
    assert client.get("/search?q=").status_code == 400


def test_search_without_hits_is_empty(client: FlaskClient) -> None:
    assert client.get("/search?q=zeppelin").json == {"total": 0, "products": []}
