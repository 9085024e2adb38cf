"""What a listing says of each test."""

from .forks import why_cold
from .names import item_id

# Marks whose arguments `orchestrate` itself understands.
GROUPS = ("xdist_group", "group")


def keywords(item):
    """The names that pytest's own `-k` looks in: the item's, its parents', its markers', and more; each version has its rules."""
    try:
        from _pytest.mark import KeywordMatcher

        return sorted(KeywordMatcher.from_item(item)._names)
    except (ImportError, AttributeError):
        # They are no public part of pytest. Without them, the words of the id are looked in.
        return None


def record_of(name, path, item):
    """What a listing says of a test."""
    line = item.location[1]
    record = {"id": name, "file": path, "line": None if line is None else line + 1}
    marks = list(item.iter_markers())
    record["tags"] = sorted({mark.name for mark in marks})
    for mark in marks:
        first = mark.args[0] if mark.args else mark.kwargs.get("name", mark.kwargs.get("timeout"))
        # The nearest mark comes first, and is the strongest.
        if mark.name in GROUPS and first is not None:
            record.setdefault("group", str(first))
        elif mark.name == "timeout" and isinstance(first, (int, float)):
            record.setdefault("timeout", first)
    return record


class Lister:
    """Keeps what was collected, and what could not be."""

    def __init__(self):
        self.broken = []
        # (name, path, item) of each test.
        self.tests = []
        # Why a session can't be had, and what is its own loop.
        self.cold = None
        self.loop = None

    def pytest_collectreport(self, report):
        if report.failed:
            name = report.nodeid or "pytest"
            self.broken.append(dict(id=name, file=report.nodeid.split("::")[0] or None, error=str(report.longrepr)))

    def pytest_collection_finish(self, session):
        self.tests = [(*item_id(item), item) for item in session.items]
        self.cold = why_cold(session.config.pluginmanager, self.loop)
        if self.loop is not None:
            self.tell_apart()

    def tell_apart(self):
        """Numbers names that came before: a session is asked for tests by name, and pytest itself would not know the number."""
        taken = {name for name, _, _ in self.tests}
        seen = set()
        for place, (name, path, item) in enumerate(self.tests):
            plain, number = name, 1
            while name in seen or (number > 1 and name in taken):
                number += 1
                name = "%s#%d" % (plain, number)
            seen.add(name)
            self.tests[place] = (name, path, item)

    def records(self, with_keywords):
        """What a listing says, line for line."""
        yield from self.broken
        for name, path, item in self.tests:
            record = record_of(name, path, item)
            if with_keywords:
                record["keywords"] = keywords(item)
            yield record
        yield {"event": "listed", "cold": self.cold}
