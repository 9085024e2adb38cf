from shop.basket import Basket


def test_what_is_saved_is_found(store):
    basket = Basket()
    basket.add("tea", "3.50", 2)
    basket.add("cup", "8.00")
    store.save("ann", basket)
    assert store.articles("ann") == [("cup", 1), ("tea", 2)]


def test_nobody_sees_the_basket_of_another(store):
    basket = Basket()
    basket.add("tea", "3.50")
    store.save("ann", basket)
    assert store.articles("bob") == []
