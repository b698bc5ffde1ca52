from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from shop.prices import Discount, reduced
from shop.products import Product, money


@pytest.mark.parametrize(("cents", "text"), [(0, "0.00"), (5, "0.05"), (1999, "19.99")])
def test_money_is_shown_with_two_decimals(cents: int, text: str) -> None:
    assert money(cents) == text


def test_discount_rules_are_read() -> None:
    rule = Discount.parse("category=tools;minimum=2000;percent=3")
    assert rule == Discount("tools", 2000, 3)


def test_the_best_discount_counts() -> None:
    saw = Product(1, "Saw", "tools", 10000)
    rules = [Discount("tools", 2000, 3), Discount("tools", 9000, 5), Discount("office", 0, 50)]
    assert reduced(saw, rules) == 9500
    assert reduced(saw, []) == 10000


def test_price_list_covers_the_category(client: FlaskClient) -> None:
    prices = client.get("/pricelist/tools").json
    assert len(prices) == 60
    assert {price["currency"] for price in prices} == {"EUR"}


def test_price_list_converts_currencies(client: FlaskClient) -> None:
    euro = client.get("/pricelist/tools").json
    dollar = client.get("/pricelist/tools?currency=USD").json
    assert float(dollar[0]["price"]) == pytest.approx(float(euro[0]["price"]) * 1.08, abs=0.01)


def test_unknown_currency_is_refused(client: FlaskClient) -> None:
    assert client.get("/pricelist/tools?currency=XYZ").status_code == 400


def test_quote_uses_the_tier_for_the_quantity(client: FlaskClient) -> None:
    one = client.get("/products/5/quote").json
    six = client.get("/products/5/quote?quantity=6").json
    assert one["each"] == one["total"] == "81.35"
    assert six == {"product": 5, "quantity": 6, "each": "77.28", "total": "463.68"}


def test_quote_for_no_pieces_is_refused(client: FlaskClient) -> None:
    assert client.get("/products/5/quote?quantity=0").status_code == 400


def test_deals_start_with_the_cheapest(client: FlaskClient) -> None:
    prices = [float(deal["price"]) for deal in client.get("/deals").json]
    assert len(prices) == 10
    assert prices == sorted(prices)


def test_deals_stay_below_a_limit(client: FlaskClient) -> None:
    prices = [float(deal["price"]) for deal in client.get("/deals?limit=30").json]
    assert max(prices) <= 30
    assert prices == sorted(prices, reverse=True)
