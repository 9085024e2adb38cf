"""Runs real pytest and writes what it does as JSON lines, for `orchestrate`.

    orchestrate_pytest.py list REPORT [ARGUMENT…]    one object a test: id, file, line, tags, keywords; or id and error
    orchestrate_pytest.py run  REPORT [ARGUMENT…]    {"event":"started",…}, {"event":"finished",…}, as they happen

The report is a file of its own, opened before any test is imported: what a test prints can't be taken for a result. An id is
pytest's own, with its path relative to the current folder (pytest's is relative to its rootdir, which it would not accept
back from another folder).
"""

import json
import os
import sys
import time


class Report:
    """One JSON object a line, each written at once, so that a crash loses none that came before it."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600)
        self.pid = os.getpid()

    def write(self, **record):
        # A test may fork and come back twice; only the process that was started reports.
        if os.getpid() == self.pid:
            os.write(self.file, json.dumps(record).encode("utf-8", "replace") + b"\n")


def item_id(item):
    """(id, file): `item.nodeid` with its path relative to the current folder."""
    path = os.path.relpath(str(getattr(item, "path", None) or item.fspath))
    rest = item.nodeid.split("::", 1)[1:]
    return "::".join([path.replace(os.sep, "/")] + rest), path


def keywords(item):
    """The names that pytest's own `-k` looks in: the item's, its parents', its markers', and more; each version has its rules."""
    try:
        from _pytest.mark import KeywordMatcher

        return sorted(KeywordMatcher.from_item(item)._names)
    except (ImportError, AttributeError):
        # They are no public part of pytest. Without them, the words of the id are looked in.
        return None


class Lister:
    def __init__(self, report):
        self.report = report

    def pytest_collectreport(self, report):
        if report.failed:
            name = report.nodeid or "pytest"
            self.report.write(id=name, file=report.nodeid.split("::")[0] or None, error=str(report.longrepr))

    def pytest_collection_finish(self, session):
        for item in session.items:
            name, path = item_id(item)
            line = item.location[1]
            self.report.write(
                id=name,
                file=path,
                line=None if line is None else line + 1,
                tags=sorted({mark.name for mark in item.iter_markers()}),
                keywords=keywords(item),
            )


class Runner:
    def __init__(self, report):
        self.report = report
        self.current = None
        self.reports = []

    def pytest_runtest_protocol(self, item):
        self.current = item_id(item)[0]
        self.reports = []
        # The clock is CLOCK_MONOTONIC, the same as the supervisor's: it bounds each test's time, not only the job's.
        self.report.write(event="started", id=self.current, at=time.monotonic())

    def pytest_runtest_logreport(self, report):
        if report.outcome == "rerun":
            return
        self.reports.append(report)
        if report.when == "teardown":
            self.finish()

    def finish(self):
        reports, self.reports = self.reports, []
        outcome, decisive = "passed", None
        for report in reports:
            if report.failed:
                # As in pytest's own summary: a failure outside of the test's body is an error.
                outcome = "failed" if report.when == "call" and outcome != "errored" else "errored"
                decisive = decisive or report
            elif decisive is None and report.skipped:
                outcome = "xfailed" if hasattr(report, "wasxfail") else "skipped"
                decisive = report
            elif decisive is None and report.when == "call" and hasattr(report, "wasxfail"):
                outcome, decisive = "xpassed", report
        record = {"event": "finished", "id": self.current, "outcome": outcome}
        record["seconds"] = sum(report.duration for report in reports)
        if decisive is not None:
            record["message"] = reason(decisive)
            parts = [] if outcome in ("skipped", "xpassed") else [decisive.longreprtext]
            parts += ["-- %s --\n%s" % section for section in reports[-1].sections]
            record["output"] = "\n".join(part for part in parts if part)
        self.report.write(**record)


def reason(report):
    """Why, in a line."""
    if getattr(report, "wasxfail", None):
        return report.wasxfail
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else report.longreprtext
    return text.strip().split("\n")[0] if text else ""


class OneProcess:
    """`-n` in a project's addopts would start pytest-xdist's own workers inside each of ours."""

    def pytest_cmdline_main(self, config):
        if hasattr(config.option, "numprocesses"):
            config.option.numprocesses = 0
            config.option.dist = "no"
            config.option.tx = []


def main():
    mode, path, *arguments = sys.argv[1:]
    # As under the `pytest` command: neither this file's folder nor the current one is searched for modules.
    del sys.path[0]
    report = Report(path)
    try:
        import pytest
    except ImportError:
        sys.exit("%s has no pytest: install it there, or name another with `with = { python = \"…\" }`" % sys.executable)
    OneProcess.pytest_cmdline_main = pytest.hookimpl(tryfirst=True)(OneProcess.pytest_cmdline_main)
    # The last word on stopping early is ours: what is not run has no result.
    if mode == "list":
        arguments = ["--collect-only", "-q", "--continue-on-collection-errors", "--maxfail=0"] + arguments
        code = pytest.main(arguments, plugins=[Lister(report), OneProcess()])
        # Tests that can't be collected are in the listing; only what keeps pytest from listing at all is an error.
        sys.exit(0 if code in (0, 1, 2, 5) else int(code))
    arguments = ["--maxfail=0"] + arguments
    sys.exit(int(pytest.main(arguments, plugins=[Runner(report), OneProcess()])))


if __name__ == "__main__":
    main()
