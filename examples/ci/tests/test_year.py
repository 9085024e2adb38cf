import datetime
import unittest

from clock.year import easter, is_leap, working_days


class Year(unittest.TestCase):
    def test_leap_years(self):
        self.assertEqual([year for year in range(1896, 1913) if is_leap(year)], [1896, 1904, 1908, 1912])
        self.assertTrue(is_leap(2000))

    def test_easter(self):
        self.assertEqual(easter(2024), datetime.date(2024, 3, 31))
        self.assertEqual(easter(2025), datetime.date(2025, 4, 20))

    def test_easter_is_always_a_sunday_in_spring(self):
        for year in range(1583, 2600):
            day = easter(year)
            self.assertEqual(day.weekday(), 6)
            self.assertIn(day.month, (3, 4))

    def test_working_days(self):
        self.assertEqual(working_days(2025), 260)

    def test_there_are_about_as_many_working_days_each_year(self):
        for year in range(1990, 2040):
            self.assertIn(working_days(year), (259, 260, 261))
