"""What became of each test, from pytest's reports."""

from .names import item_id
from .real import real


class Runner:
    """Tells when a test starts and how it ends."""

    def __init__(self, report):
        self.report = report
        self.current = None
        self.reports = []

    def begin(self, name):
        self.current = name
        self.reports = []
        # The clock is CLOCK_MONOTONIC, the same as the supervisor's: it bounds each test's time, not only the job's.
        self.report.write(event="started", id=name, at=real.clock())
        self.report.flush()

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


class Follower(Runner):
    """Follows pytest's own loop, which chooses the tests."""

    def pytest_runtest_protocol(self, item):
        self.begin(item_id(item)[0])


def reason(report):
    """Why, in a line."""
    if getattr(report, "wasxfail", None):
        return report.wasxfail
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else report.longreprtext
    return text.strip().split("\n")[0] if text else ""
