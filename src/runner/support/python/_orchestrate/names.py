"""The id of a test: pytest's own, with its path relative to the current folder.

pytest's is relative to its rootdir, and from another folder it would not accept that back.
"""

import os

# Where it began: a test may go elsewhere.
HERE = os.getcwd()
RELATIVE = {}


def item_id(item):
    """(id, file): `item.nodeid` with its path relative to the current folder."""
    place = getattr(item, "path", None) or item.fspath
    path = RELATIVE.get(place)
    if path is None:
        path = RELATIVE[place] = os.path.relpath(str(place), HERE)
    rest = item.nodeid.split("::", 1)[1:]
    return "::".join([path.replace(os.sep, "/")] + rest), path
