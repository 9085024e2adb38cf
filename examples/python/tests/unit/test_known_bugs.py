from shop.basket import Basket


def test_two_prices_of_one_article():
    # The last price wins for what was in the basket before.
    basket = Basket()
    basket.add("tea", "3.50")
    basket.add("tea", "2.00")
    assert str(basket.total()) == "5.50"
