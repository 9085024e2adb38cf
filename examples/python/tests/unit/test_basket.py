from decimal import Decimal

import pytest

from shop.basket import Basket


@pytest.mark.parametrize(
    ("percent", "total"),
    [(0, "10.50"), (10, "9.45"), (33, "7.04"), (100, "0.00")],
)
def test_discount(percent, total):
    basket = Basket()
    basket.add("tea", "3.50", 3)
    assert basket.total(percent) == Decimal(total)


def test_an_article_twice_is_one_line():
    basket = Basket()
    basket.add("tea", "3.50")
    basket.add("tea", "3.50")
    assert basket.lines == {"tea": (Decimal("3.50"), 2)}


def test_at_least_one():
    with pytest.raises(ValueError, match="at least one"):
        Basket().add("tea", "3.50", 0)


@pytest.mark.skip(reason="no tax outside the country yet")
def test_tax():
    raise NotImplementedError
