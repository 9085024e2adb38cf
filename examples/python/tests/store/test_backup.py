from shop.basket import Basket
from shop.store import BACKUP, Store


def test_a_backup_holds_what_was_saved(store):
    basket = Basket()
    basket.add("tea", "3.50")
    store.save("ann", basket)
    store.back_up()
    assert Store(BACKUP).articles("ann") == [("tea", 1)]


def test_a_backup_replaces_the_last_one(store):
    store.back_up()
    assert Store(BACKUP).articles("ann") == []
