"""`files` of a group: pytest collects by itself, and of what it finds only these files count.

They are no arguments of pytest: it would take a file that is named to it whatever the project's own settings say of it.
"""

import os

from .names import HERE

# The most files that a warning names.
MOST_NAMED = 5
# They match `files = ["tests/**/*.py"]`, and nobody expects tests in them.
NO_TESTS = ("conftest.py", "__init__.py")


class Narrowing:
    """Has pytest pass over all files but the group's."""

    def __init__(self, files):
        # Relative to the folder that this process began in, and absolute.
        self.names = {os.path.normpath(file) for file in files}
        self.files = {os.path.join(HERE, name) for name in self.names}
        self.folders = set()
        for file in self.files:
            folder = os.path.dirname(file)
            while folder not in self.folders:
                self.folders.add(folder)
                folder = os.path.dirname(folder)
        self.collected = set()

    def has(self, path):
        """Whether a file, relative to the folder that this process began in, is one of the group's."""
        return not self.names or path in self.names

    def pytest_ignore_collect(self, collection_path):
        if not self.files:
            return None
        path = str(collection_path)
        # A package begins with its `__init__.py`.
        if path in self.files or path in self.folders or os.path.basename(path) == "__init__.py":
            return None
        return True

    def pytest_collectstart(self, collector):
        path = getattr(collector, "path", None)
        if path is not None:
            self.collected.add(str(path))

    def warnings(self):
        """The group's files that pytest does not collect."""
        refused = sorted(self.files - self.collected)
        refused = [os.path.relpath(path, HERE) for path in refused if os.path.basename(path) not in NO_TESTS]
        if not refused:
            return []
        named = ", ".join(refused[:MOST_NAMED])
        if len(refused) > MOST_NAMED:
            named += " and %d more" % (len(refused) - MOST_NAMED)
        return ["`files` matches %s, but the settings of pytest leave this out (see `python_files`, `testpaths` and `--ignore`)" % named]
