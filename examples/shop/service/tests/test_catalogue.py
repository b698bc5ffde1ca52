from __future__ import annotations

from flask.testing import FlaskClient


def test_categories_count_their_products(client: FlaskClient) -> None:
    categories = client.get("/categories").json
    assert [category["slug"] for category in categories][:2] == ["garden", "kitchen"]
    assert {category["products"] for category in categories} == {60}


def test_category_lists_its_products_by_name(client: FlaskClient) -> None:
    products = client.get("/categories/tools").json
    assert len(products) == 60
    assert [product["name"] for product in products] == sorted(p["name"] for p in products)
    assert {product["category"] for product in products} == {"tools"}


def test_category_says_what_is_in_stock_and_where(client: FlaskClient) -> None:
    for product in client.get("/categories/kitchen").json:
        assert product["stock"] >= 0
        assert product["warehouse"] in {"North", "South", "Harbour"}


def test_category_shows_stars_where_there_are_reviews(client: FlaskClient) -> None:
    stars = [product["stars"] for product in client.get("/categories/kitchen").json]
    assert None in stars
    assert all(2 <= average <= 5 for average in stars if average is not None)


def test_unknown_category_is_not_found(client: FlaskClient) -> None:
    reply = client.get("/categories/boats")
    assert reply.status_code == 404
    assert reply.json["title"] == "Not Found"


def test_product_page_has_description_and_price(client: FlaskClient) -> None:
    page = client.get("/products/5").json
    assert page["name"] == "Steel Lamp 5"
    assert page["description"].startswith("A ")
    assert page["price"] == "81.35"


def test_product_page_shows_the_latest_review(client: FlaskClient) -> None:
    review = client.get("/products/5").json["latest_review"]
    assert 1 <= review["stars"] <= 5


def test_product_without_reviews_has_no_latest_review(client: FlaskClient) -> None:
    assert "latest_review" not in client.get("/products/9").json


def test_unknown_product_is_not_found(client: FlaskClient) -> None:
    assert client.get("/products/99999").status_code == 404
