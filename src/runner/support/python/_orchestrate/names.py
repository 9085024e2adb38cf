"""The ids of tests: pytest's own, with their paths relative to the current folder.

pytest's are relative to its rootdir, and from another folder it would not accept them back.
"""

import os

# Where it began: a test may go elsewhere.
HERE = os.getcwd()
RELATIVE = {}


def relative(path):
    """A path of a test, as `orchestrate` names it."""
    known = RELATIVE.get(path)
    if known is None:
        known = RELATIVE[path] = os.path.relpath(str(path), HERE)
    return known


def item_id(item):
    """(id, file) of a test."""
    path = relative(getattr(item, "path", None) or item.fspath)
    rest = item.nodeid.split("::", 1)[1:]
    return "::".join([path.replace(os.sep, "/")] + rest), path


def id_of_node(nodeid, config):
    """The id of a test of which only pytest's own id is known."""
    root = str(getattr(config, "rootpath", None) or config.rootdir)
    path, *rest = nodeid.split("::", 1)
    return "::".join([relative(os.path.join(root, path)).replace(os.sep, "/")] + rest)


def named(items):
    """(id, file, item) of each test. pytest may have several of one id; all but the first of them get a number."""
    tests = [(*item_id(item), item) for item in items]
    taken = {name for name, _, _ in tests}
    if len(taken) == len(tests):
        return tests
    seen = set()
    for place, (name, path, item) in enumerate(tests):
        plain, number = name, 1
        while name in seen or (number > 1 and name in taken):
            number += 1
            name = "%s#%d" % (plain, number)
        seen.add(name)
        tests[place] = (name, path, item)
    return tests
