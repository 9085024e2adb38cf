import datetime


def is_leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def easter(year):
    """Easter Sunday of the Gregorian calendar (Meeus, Jones, Butcher)."""
    a = year % 19
    b, c = divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    l = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 19 * l) // 433
    month = (h + l - 7 * m + 90) // 25
    return datetime.date(year, month, (h + l - 7 * m + 33 * month + 19) % 32)


def working_days(year):
    """How many days of a year are neither weekend nor Easter Monday."""
    monday = easter(year) + datetime.timedelta(days=1)
    day, count = datetime.date(year, 1, 1), 0
    while day.year == year:
        count += day.weekday() < 5 and day != monday
        day += datetime.timedelta(days=1)
    return count
