import unittest

from clock.span import parse


class Parse(unittest.TestCase):
    def test_one_unit(self):
        self.assertEqual([parse("1d"), parse("2h"), parse("3m"), parse("4s")], [86_400, 7_200, 180, 4])

    def test_several_units(self):
        self.assertEqual(parse("1h 30m"), 5_400)

    def test_without_blanks(self):
        self.assertEqual(parse("1h30m"), 5_400)

    def test_what_is_no_span(self):
        for text in ["", "h", "1", "1h and a half"]:
            with self.subTest(text), self.assertRaises(ValueError):
                parse(text)
