"""What a listing says of each test."""

import pytest

from .forks import why_cold
from .names import id_of_node, named
from .results import reason

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
        # Records of what is no test: files that could not be collected, or did not want to.
        self.others = []
        # (id, file, item) of each test.
        self.tests = []
        # Why a session can't be had, and what is its own loop.
        self.cold = None
        self.loop = None
        self.config = None

    def pytest_configure(self, config):
        self.config = config

    @pytest.hookimpl(hookwrapper=True)
    def pytest_collectreport(self, report):
        yield
        if not (report.failed or report.skipped):
            return
        name = id_of_node(report.nodeid, self.config) if report.nodeid else "pytest"
        record = {"id": name, "file": name.split("::")[0] if report.nodeid else None}
        if report.failed:
            record["error"] = str(report.longrepr)
        else:
            record["skip"] = reason(report)
        self.others.append(record)

    def pytest_collection_finish(self, session):
        self.tests = named(session.items)
        self.cold = why_cold(session.config.pluginmanager, self.loop)

    def records(self, with_keywords):
        """What a listing says, line for line."""
        yield from self.others
        for name, path, item in self.tests:
            record = record_of(name, path, item)
            if with_keywords:
                record["keywords"] = keywords(item)
            yield record
        yield {"event": "listed", "cold": self.cold}
