"""A plugin of the native pytest in the differential tests: writes the outcome of each test to the file that RECORD names.

A line is an outcome in the words of `orchestrate`, a space and the id of the test, relative to the folder that pytest runs in.
"""

import os

AROUND = ("setup", "teardown")
OUTCOMES = {}
CONFIG = []


def pytest_configure(config):
    CONFIG.append(config)


def pytest_runtest_logreport(report):
    if report.outcome == "rerun" or hasattr(report, "context"):
        return
    outcome = "passed"
    if report.failed:
        outcome = "errored" if report.when in AROUND else "failed"
    elif report.skipped:
        outcome = "xfailed" if hasattr(report, "wasxfail") else "skipped"
    elif hasattr(report, "wasxfail") and report.when == "call":
        outcome = "xpassed"
    before = OUTCOMES.get(report.nodeid)
    # As in pytest's own counts, a failed teardown comes beside a result; it makes the test one that has failed.
    if before in (None, "passed") or outcome == "errored":
        OUTCOMES[report.nodeid] = outcome


def pytest_collectreport(report):
    if report.nodeid and report.skipped:
        OUTCOMES[report.nodeid] = "skipped"


def pytest_unconfigure(config):
    if hasattr(config, "workerinput"):
        return
    root, here = str(config.rootpath), str(config.invocation_params.dir)
    with open(os.environ["RECORD"], "w") as file:
        for nodeid, outcome in OUTCOMES.items():
            if config.getoption("dist", "no") == "loadgroup":
                # pytest-xdist adds the name of the group.
                nodeid = nodeid.rsplit("@", 1)[0]
            path, *rest = nodeid.split("::", 1)
            path = os.path.relpath(os.path.join(root, path), here)
            file.write("%s %s\n" % (outcome, "::".join([path] + rest)))
