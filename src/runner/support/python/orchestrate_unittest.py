"""Runs the standard library's unittest and reports to `orchestrate` what it does.

    orchestrate_unittest.py list REPORT [OPTION…]  what `python -m unittest discover OPTION…` finds: id, file, line; or id and error
    orchestrate_unittest.py run  REPORT ID…        {"event":"started",…}, {"event":"finished",…}, as they happen
"""

import importlib.util
import os
import sys

# Python puts this file's folder on the path of modules, unless it runs with -P, -I or PYTHONSAFEPATH. `python -m unittest` would not.
if not (getattr(sys.flags, "safe_path", False) or sys.flags.isolated):
    del sys.path[0]
# Our package is loaded by its path: no installed module of the same name can take its place.
folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_orchestrate")
init = os.path.join(folder, "__init__.py")
spec = importlib.util.spec_from_file_location("_orchestrate", init, submodule_search_locations=[folder])
sys.modules["_orchestrate"] = importlib.util.module_from_spec(spec)

from _orchestrate.under_unittest import main

main(sys.argv[1:])
