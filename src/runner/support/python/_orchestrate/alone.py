"""The one process of a group whose tests cannot be divided: pytest runs them as it does by itself, in its own order."""

import pytest

from .names import id_of_node, named
from .results import Results


class Alone(Results):
    """Reports what pytest does, leaves out the tests that were not selected, and reports those that pytest did not get to."""

    def __init__(self, report, ids):
        super().__init__(report)
        # None: all tests that pytest collects.
        self.ids = None if ids is None else set(ids)
        # By item: its id.
        self.items = {}
        self.begun = set()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, session, config, items):
        names = {item: name for name, _, item in named(items)}
        left_out = [item for item in items if self.ids is not None and names[item] not in self.ids]
        if left_out:
            items[:] = [item for item in items if names[item] in self.ids]
            # As after `-k`: plugins know then that these are not all tests.
            config.hook.pytest_deselected(items=left_out)
        self.items = {item: names[item] for item in items}
        # A file that could not be collected has its result already.
        session.testsfailed = 0

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item):
        self.begun.add(item)
        yield from self.run(self.items.get(item) or id_of_node(item.nodeid, self.config), item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session):
        super().pytest_sessionfinish()
        why = session.shouldfail or session.shouldstop
        if not why:
            return
        for item, name in self.items.items():
            if item not in self.begun:
                self.report.write(event="finished", id=name, outcome="not-run", message="pytest stopped: %s" % why)
