from decimal import ROUND_HALF_UP, Decimal


class Basket:
    def __init__(self):
        self.lines = {}

    def add(self, article, price, count=1):
        if count < 1:
            raise ValueError(f"{count} of {article}: at least one")
        _, before = self.lines.get(article, (None, 0))
        self.lines[article] = (Decimal(price), before + count)

    def total(self, discount_percent=0):
        full = sum((price * count for price, count in self.lines.values()), Decimal(0))
        reduced = full * (100 - Decimal(discount_percent)) / 100
        return reduced.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
