"""What a listing says of each test."""

import pytest

from .forks import why_cold
from .names import id_of_node, named
from .plugins import Plugins, end_silently
from .results import reason
from .spanning import why_one_process, why_unless_all

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


class Together:
    """Tests that run in one worker, in the order of their file, since a plugin of the project has them so."""

    def __init__(self, asked, plugins):
        # pytest-xdist, which the project itself runs its tests by.
        self.dist = asked.dist
        self.has_dependencies = plugins is not None and plugins.is_active("pytest_dependency")

    def add(self, record, item):
        """Says in the record of a test with which others it runs."""
        if "group" in record:
            return
        if self.dist == "loadfile":
            record["group"] = record["file"]
        elif self.dist == "loadscope":
            record["group"] = record["id"].rsplit("::", 1)[0]
        elif self.has_dependencies and item.get_closest_marker("dependency") is not None:
            record["group"] = record["file"]


def explained(text):
    """The text of a failed collection, behind the line that says why: pytest prints that last."""
    lines = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    if not lines:
        return text
    why = lines[-1]
    places = [line for line in lines if line.startswith('File "') and ", line " in line]
    if why.startswith(("SyntaxError", "IndentationError", "TabError")) and places:
        why = "%s (%s)" % (why, places[-1])
    return "%s\n%s" % (why, text)


class Lister:
    """Keeps what was collected, and what could not be."""

    def __init__(self, asked, narrowing, is_shared, opened):
        # The options of the project that span a session.
        self.asked = asked
        # The files that count.
        self.narrowing = narrowing
        # Whether one host serves all workers of the group.
        self.is_shared = is_shared
        self.opened = opened
        # Records of what is no test: files that could not be collected, or did not want to.
        self.others = []
        # (id, file, item) of each test.
        self.tests = []
        # Why a session can't be had, why all tests need one process, and what is its own loop.
        self.cold = None
        self.one_process = None
        self.plugins = None
        self.loop = None
        # Why each worker needs a session of its own.
        self.worker = None
        self.config = None

    def pytest_configure(self, config):
        self.config = config

    @pytest.hookimpl(hookwrapper=True)
    def pytest_collectreport(self, report):
        yield
        if not (report.failed or report.skipped):
            return
        name = id_of_node(report.nodeid, self.config) if report.nodeid else "pytest"
        if report.nodeid and not self.narrowing.has(name.split("::")[0]):
            return
        record = {"id": name, "file": name.split("::")[0] if report.nodeid else None}
        if report.failed:
            record["error"] = explained(str(report.longrepr))
        else:
            record["skip"] = reason(report)
        self.others.append(record)

    def pytest_collection_finish(self, session):
        self.tests = [test for test in named(session.items) if self.narrowing.has(test[1])]
        self.cold = why_cold(session.config.pluginmanager, self.loop)
        self.worker = self.opened.collected()
        self.plugins = Plugins(session)
        self.one_process = why_one_process(self.plugins, self.asked, self.is_shared, self.loop)
        if self.config.option.collectonly:
            end_silently(self.config)
        if self.loop is not None:
            self.loop.come_first(session.config.pluginmanager)

    def records(self, with_keywords):
        """What a listing says, line for line."""
        yield from self.others
        together = Together(self.asked, self.plugins)
        for name, path, item in self.tests:
            record = record_of(name, path, item)
            together.add(record, item)
            if with_keywords:
                record["keywords"] = keywords(item)
            yield record
        last = {
            "event": "listed",
            "cold": self.cold,
            "worker": self.worker,
            "one-process": self.one_process,
            "warnings": self.narrowing.warnings(),
        }
        if self.plugins is not None:
            last["one-process-unless-all"] = why_unless_all(self.plugins)
        yield last
