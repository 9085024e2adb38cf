"""The command line of `orchestrate_pytest.py`."""

import os
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
    arguments, named = split(arguments)
    become("pytest", arguments)
    from . import coverage
    from .xdist import Asked, OneProcess

    parts = os.environ.pop(coverage.PARTS, None)
    # A job that leaves no parts of something that is the group's runs all tests of the group.
    is_alone = mode == "run" and parts == ""
    asked = Asked()
    one = OneProcess(asked, is_alone, is_alone or (mode == "session" and not parts))
    common = [one] + coverage.plugins(mode, parts)
    # What cannot be collected is reported as well.
    whole = ["--continue-on-collection-errors"]
    if mode == "run":
        sys.exit(int(run(report, whole + arguments, named, is_alone, common)))
    if mode == "finish":
        code = pytest.main(arguments, plugins=common)
        # No test was collected, which is not wrong here.
        sys.exit(0 if code == 5 else int(code))
    from .listing import Lister
    from .narrowing import Narrowing
    from .opened import Opened

    is_shared = not parts if mode == "session" else os.environ.get("ORCHESTRATE_SESSION") == "shared"
    narrowing = Narrowing(named or [])
    opened = Opened()
    lister = Lister(asked, narrowing, is_shared, opened)
    common += [narrowing, opened, lister]
    if mode == "session":
        from . import warm

        session = warm.plugins(serving, lister)
        code = int(pytest.main(whole + arguments, plugins=session + common))
        host.leave(lister.loop.code_of(code))
    code = pytest.main(["--collect-only", "-q"] + whole + arguments, plugins=common)
    for record in lister.records(True):
        report.write(**record)
    # Tests that can't be collected are in the listing; only what keeps pytest from listing at all is an error.
    sys.exit(0 if code in (0, 1, 2, 5) else int(code))


def split(arguments):
    """The arguments of pytest, and what follows the last `--`: files or ids, None where there is no `--`."""
    if "--" not in arguments:
        return arguments, None
    place = len(arguments) - 1 - arguments[::-1].index("--")
    return arguments[:place], arguments[place + 1 :]


def run(report, arguments, ids, is_alone, plugins):
    """Runs tests."""
    import pytest

    if is_alone:
        from .alone import Alone

        code = pytest.main(arguments, plugins=[Alone(report, ids)] + plugins)
    else:
        from .cold import Chosen

        chosen = Chosen(report, ids)
        code = pytest.main(arguments + chosen.arguments(), plugins=[chosen] + plugins)
    report.end()
    return code
