import unittest

from clock.span import parse, show


class Show(unittest.TestCase):
    def test_nothing(self):
        self.assertEqual(show(0), "0s")

    def test_units_that_are_zero_are_left_out(self):
        self.assertEqual(show(86_401), "1d 1s")

    def test_what_is_shown_is_parsed_again(self):
        for seconds in range(0, 200_000, 7):
            self.assertEqual(parse(show(seconds)), seconds)
