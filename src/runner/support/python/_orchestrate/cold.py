"""A process that runs some tests through pytest's own loop."""

import pytest

from .names import id_of_node, named
from .results import Results, reason


class Chosen(Results):
    """Runs the tests that it was given the ids of, in that order.

    pytest is given their files: it takes a single file apart once, but it looks for each id anew.
    """

    def __init__(self, report, ids):
        super().__init__(report)
        # None: whatever pytest itself chooses.
        self.ids = ids
        # By item: its id.
        self.items = {}
        # By id: why it was not collected.
        self.broken = {}

    def arguments(self):
        """What pytest is given in the place of the ids."""
        return list(dict.fromkeys(name.split("::", 1)[0] for name in self.ids or ()))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_collectreport(self, report):
        yield
        if report.failed or report.skipped:
            self.broken[id_of_node(report.nodeid, self.config)] = report

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, session, items):
        """Around all others, which may have brought them in another order."""
        yield
        tests = named(items)
        self.items = {item: name for name, _, item in tests}
        if self.ids is None:
            return
        by_name = {name: item for name, _, item in tests}
        for name in self.ids:
            if name not in by_name:
                self.report.write(**self.missing(name))
        items[:] = [by_name[name] for name in self.ids if name in by_name]
        # Each test that could not be collected has its result. Others of the same file are no matter of this process.
        session.testsfailed = 0

    def missing(self, name):
        """The result of a test that is not there."""
        record = {"event": "finished", "id": name, "outcome": "errored"}
        parts = name.split("::")
        for count in range(1, len(parts) + 1):
            report = self.broken.get("::".join(parts[:count]))
            if report is None:
                continue
            if report.skipped:
                record["outcome"] = "skipped"
            record["message"] = reason(report)
            record["output"] = "" if report.skipped else str(report.longrepr)
            return record
        record["message"] = (
            "pytest listed it, but does not find it here: its id differs between processes (it holds a random value, an address "
            "or the order of a set)"
        )
        return record

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item):
        yield from self.run(self.items.get(item) or id_of_node(item.nodeid, self.config), item)
