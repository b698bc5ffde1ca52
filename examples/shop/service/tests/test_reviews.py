from __future__ import annotations

from flask.testing import FlaskClient


def test_reviews_have_a_count_and_an_average(client: FlaskClient) -> None:
    page = client.get("/products/5/reviews").json
    assert page["count"] == len(page["reviews"]) == 2
    assert page["average"] == 3.5


def test_reviews_without_a_name_are_anonymous(client: FlaskClient) -> None:
    authors = [
        review["author"]
        for product in range(1, 40)
        for review in client.get(f"/products/{product}/reviews").json["reviews"]
    ]
    assert "anonymous" in authors
    assert None not in authors


def test_reviews_of_unknown_product_are_not_found(client: FlaskClient) -> None:
    assert client.get("/products/99999/reviews").status_code == 404
