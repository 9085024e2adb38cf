"""What a project that knows pytest-xdist looks for in a worker."""

import os
import sys

from . import coverage


class OneProcess:
    """`-n` in a project's addopts would start pytest-xdist's own workers inside each of ours, and a report of one process would
    be one of a part of the tests."""

    def pytest_cmdline_main(self, config):
        config.option.xmlpath = None
        if hasattr(config.option, "numprocesses"):
            config.option.numprocesses = 0
            config.option.dist = "no"
            config.option.tx = []
        worker = os.environ.get("PYTEST_XDIST_WORKER")
        if worker is None:
            return
        coverage.is_no_worker(config)
        # As in a worker of pytest-xdist, for projects that look for it.
        config.workerinput = {
            "workerid": worker,
            "workercount": int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
            "testrunuid": os.environ.get("PYTEST_XDIST_TESTRUNUID", ""),
            "mainargv": sys.argv,
        }
        if not config.pluginmanager.hasplugin("xdist"):
            config.pluginmanager.register(xdist_fixtures(), "orchestrate-xdist")


def xdist_fixtures():
    """The fixtures of pytest-xdist, where it is not installed."""
    import pytest

    class Fixtures:
        @pytest.fixture(scope="session")
        def worker_id(self):
            """The worker's name: `gw0` and so on."""
            return os.environ["PYTEST_XDIST_WORKER"]

        @pytest.fixture(scope="session")
        def testrun_uid(self):
            """The run's id."""
            return os.environ.get("PYTEST_XDIST_TESTRUNUID", "")

    return Fixtures()
