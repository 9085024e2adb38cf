"""The command line of `orchestrate_pytest.py`."""

import sys

from . import garbage
from .main_module import become
from .report import Report


def main(arguments):
    """Does what the first word asks for, and ends this process."""
    mode, *arguments = arguments
    serving = report = None
    if mode == "session":
        from . import host

        garbage.looks_seldom()
        serving = host.Host()
    elif mode != "finish":
        report = Report(arguments.pop(0))
    try:
        import pytest
    except ImportError:
        sys.exit("%s has no pytest: install it there, or name another with `with = { python = \"…\" }`" % sys.executable)
    become("pytest", arguments)
    from . import coverage
    from .xdist import OneProcess

    OneProcess.pytest_cmdline_main = pytest.hookimpl(tryfirst=True)(OneProcess.pytest_cmdline_main)
    common = [OneProcess()] + coverage.plugins(mode, pytest)
    # The last word on stopping early is ours: what is not run has no result. What can't be collected is told of as well.
    whole = ["--maxfail=0", "--continue-on-collection-errors"]
    if mode == "run":
        sys.exit(int(run(report, whole, arguments, common)))
    if mode == "finish":
        code = pytest.main(arguments, plugins=common)
        # No test was collected, which is not wrong here.
        sys.exit(0 if code == 5 else int(code))
    from .listing import Lister

    lister = Lister()
    if mode == "session":
        from . import warm

        session = warm.plugins(serving, lister)
        host.leave(int(pytest.main(whole + arguments, plugins=[lister] + session + common)))
    code = pytest.main(["--collect-only", "-q"] + whole + arguments, plugins=[lister] + common)
    for record in lister.records(True):
        report.write(**record)
    # Tests that can't be collected are in the listing; only what keeps pytest from listing at all is an error.
    sys.exit(0 if code in (0, 1, 2, 5) else int(code))


def run(report, options, arguments, plugins):
    """Runs tests; those after the last `--` are ids."""
    import pytest

    from .cold import Chosen

    ids = None
    if "--" in arguments:
        place = len(arguments) - 1 - arguments[::-1].index("--")
        arguments, ids = arguments[:place], arguments[place + 1 :]
    chosen = Chosen(report, ids)
    return pytest.main(options + arguments + chosen.arguments(), plugins=[chosen] + plugins)
