"""The module `__main__`, as it is under `python -m` with the runner's own name.

multiprocessing loads the parent's `__main__` in each child that it starts with `spawn` or `forkserver`. Ours would not do there.
"""

import importlib.util
import sys
import types


def become(name, arguments):
    """Puts a module that was never run in the place of ours, and the runner's own command line in the place of ours."""
    try:
        spec = importlib.util.find_spec(name + ".__main__")
    except ImportError:
        spec = None
    main = types.ModuleType("__main__")
    main.__builtins__ = __builtins__
    if spec is not None:
        main.__spec__ = spec
        main.__loader__ = spec.loader
        main.__package__ = name
        main.__file__ = spec.origin
    sys.modules["__main__"] = main
    sys.argv[:] = [getattr(main, "__file__", name), *arguments]
