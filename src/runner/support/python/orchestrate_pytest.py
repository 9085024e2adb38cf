"""Runs the project's own pytest and reports to `orchestrate` what it does.

    orchestrate_pytest.py list REPORT [ARGUMENT…]    one object per test: id, file, line, tags, keywords; or id and error
    orchestrate_pytest.py run  REPORT [ARGUMENT…]    {"event":"started",…}, {"event":"finished",…}, as they happen
    orchestrate_pytest.py session [ARGUMENT…]        collects once, then forks a worker for each connection
    orchestrate_pytest.py finish  [ARGUMENT…]        runs no test: merges the coverage data that the group's processes left

The report is a file of its own, opened before any test is imported: the output of a test cannot be taken for a result. A
session has a socket instead (docs/session-protocol.md).
"""

import importlib.util
import os
import sys

# Python puts this file's folder on the path of modules, unless it runs with -P, -I or PYTHONSAFEPATH. `pytest` would not.
if not (getattr(sys.flags, "safe_path", False) or sys.flags.isolated):
    del sys.path[0]
# Our package is loaded by its path: no installed module of the same name can take its place.
folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_orchestrate")
init = os.path.join(folder, "__init__.py")
spec = importlib.util.spec_from_file_location("_orchestrate", init, submodule_search_locations=[folder])
sys.modules["_orchestrate"] = importlib.util.module_from_spec(spec)

from _orchestrate.under_pytest import main

main(sys.argv[1:])
