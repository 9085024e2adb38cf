"""The command line of `orchestrate_pytest.py`."""

import gc
import sys

from . import coverage
from .main_module import become
from .xdist import OneProcess


def main(arguments):
    """Does what the first word asks for, and ends this process."""
    mode, *arguments = arguments
    if mode == "session":
        from . import host, warm

        gc.set_threshold(*warm.LOADING)
        serving = host.Host()
    elif mode != "finish":
        from .report import Report

        report = Report(arguments.pop(0))
    try:
        import pytest
    except ImportError:
        sys.exit("%s has no pytest: install it there, or name another with `with = { python = \"…\" }`" % sys.executable)
    become("pytest", arguments)
    OneProcess.pytest_cmdline_main = pytest.hookimpl(tryfirst=True)(OneProcess.pytest_cmdline_main)
    common = [OneProcess()] + coverage.plugins(mode, pytest)
    # The last word on stopping early is ours: what is not run has no result.
    whole = ["--maxfail=0"]
    if mode == "run":
        from .results import Follower

        sys.exit(int(pytest.main(whole + arguments, plugins=[Follower(report)] + common)))
    if mode == "finish":
        code = pytest.main(arguments, plugins=common)
        # No test was collected, which is not wrong here.
        sys.exit(0 if code == 5 else int(code))
    from .listing import Lister

    lister = Lister()
    whole.append("--continue-on-collection-errors")
    if mode == "session":
        session = warm.plugins(serving, lister, pytest)
        host.leave(int(pytest.main(whole + arguments, plugins=[lister] + session + common)))
    code = pytest.main(["--collect-only", "-q"] + whole + arguments, plugins=[lister] + common)
    for record in lister.records(True):
        report.write(**record)
    # Tests that can't be collected are in the listing; only what keeps pytest from listing at all is an error.
    sys.exit(0 if code in (0, 1, 2, 5) else int(code))
