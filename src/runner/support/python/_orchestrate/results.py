"""What became of each test, from the reports of pytest and of whatever plugin runs tests in its place."""

import pytest

from .names import id_of_node
from .real import real

# Reports of what is no part of the test itself: a failure there is an error, as in pytest's own summary.
AROUND = ("setup", "teardown")


class Results:
    """Reports when a test begins and how it ends.

    A result is that of the test that pytest's report names. A plugin may run a test several times, in a process of its own, or
    not at all; so what counts is all that was reported by the end of the test's protocol.
    """

    def __init__(self, report):
        self.report = report
        self.config = None
        # By pytest's id: that of the test, as it was listed.
        self.names = {}
        # By id: when it began, and its reports.
        self.open = {}
        # The ids whose protocol goes on, which says when they are over.
        self.inside = set()

    def pytest_configure(self, config):
        self.config = config

    def name(self, nodeid):
        name = self.names.get(nodeid)
        if name is None:
            name = self.names[nodeid] = id_of_node(nodeid, self.config)
        return name

    def run(self, name, item):
        """Around the protocol of a test: a generator for a hook wrapper."""
        # Several tests may have one id of pytest's; they run one after the other.
        self.names[item.nodeid] = name
        self.begin(name)
        self.inside.add(name)
        outcome = yield
        self.inside.discard(name)
        if getattr(outcome, "excinfo", None) is None:
            self.end(name)
        else:
            # Ctrl-C and `pytest.exit` break off the protocol. That the test was set up is no result of it.
            self.open.pop(name, None)

    def begin(self, name):
        at = real.clock()
        self.open[name] = (at, [])
        self.report.write(event="started", id=name, at=at)
        self.report.flush()

    def pytest_runtest_logstart(self, nodeid):
        """For tests that run elsewhere, or in a loop of somebody else's: `run` says so first for all others."""
        name = self.name(nodeid)
        if name not in self.open:
            self.begin(name)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_logreport(self, report):
        """A wrapper: it hears of a report also where another plugin fails at it, and after it has changed it."""
        yield
        if report.outcome == "rerun":
            # pytest-rerunfailures: it does not count.
            return
        name = self.name(report.nodeid)
        if name not in self.open:
            self.begin(name)
        self.open[name][1].append(report)

    def pytest_runtest_logfinish(self, nodeid):
        name = self.name(nodeid)
        if name not in self.inside:
            self.end(name)

    def pytest_sessionfinish(self):
        for name in list(self.open):
            if name not in self.inside and self.open[name][1]:
                self.end(name)

    def end(self, name):
        if name not in self.open:
            return
        began, reports = self.open.pop(name)
        self.report.write(**finished(name, reports, real.clock() - began), **self.more())

    def more(self):
        """What is said of each test besides."""
        return {}


def finished(name, reports, seconds):
    """The record of a test that is over."""
    record = {"event": "finished", "id": name, "seconds": seconds}
    if not reports:
        record["outcome"] = "skipped"
        record["message"] = "pytest reported nothing of it: a plugin has taken it over"
        return record
    outcome, decisive = verdict(reports)
    record["outcome"] = outcome
    if decisive is not None:
        record["message"] = reason(decisive)
        failed = [report.longreprtext for report in reports if report.failed]
        parts = [] if outcome in ("skipped", "xpassed") else failed or [decisive.longreprtext]
        parts += ["-- %s --\n%s" % section for section in reports[-1].sections]
        record["output"] = "\n".join(part for part in parts if part)
    return record


def verdict(reports):
    """(outcome, report that decided it)."""
    outcome, decisive = "passed", None
    for report in reports:
        if report.failed:
            outcome = "errored" if report.when in AROUND or outcome == "errored" else "failed"
            decisive = decisive or report
        elif hasattr(report, "context"):
            # A part of a test. One that is skipped, or fails as expected, says nothing of the test.
            continue
        elif decisive is None and report.skipped:
            outcome = "xfailed" if hasattr(report, "wasxfail") else "skipped"
            decisive = report
        elif decisive is None and report.when not in AROUND and hasattr(report, "wasxfail"):
            outcome, decisive = "xpassed", report
    return outcome, decisive


def reason(report):
    """Why, in a line."""
    if getattr(report, "wasxfail", None):
        return report.wasxfail
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else report.longreprtext
    return text.strip().split("\n")[0] if text else ""
