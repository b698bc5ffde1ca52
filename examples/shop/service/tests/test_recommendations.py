from __future__ import annotations

from flask.testing import FlaskClient


def test_recommendations_are_other_products(client: FlaskClient) -> None:
    found = client.get("/products/5/recommendations").json
    assert len(found) == 8
    assert 5 not in {product["id"] for product in found}


def test_recommendations_start_with_what_was_bought_most(client: FlaskClient) -> None:
    counts = [product["bought"] for product in client.get("/products/5/recommendations").json]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 0


def test_unknown_product_has_no_recommendations(client: FlaskClient) -> None:
    assert client.get("/products/99999/recommendations").status_code == 404
