import re

UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
PART = re.compile(r"\s*(\d+)\s*([dhms])")


def parse(text):
    """The seconds of a text such as "1h 30m"."""
    seconds, position = 0, 0
    while match := PART.match(text, position):
        seconds += int(match[1]) * UNITS[match[2]]
        position = match.end()
    if position == 0 or text[position:].strip():
        raise ValueError(f"{text!r} is no span of time such as '1h 30m'")
    return seconds


def show(seconds):
    """The shortest text that `parse` understands."""
    parts = []
    for unit, size in UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"
