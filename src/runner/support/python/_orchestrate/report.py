"""The file that a runner of ours writes its report to."""

import os

from .real import line_of, real


class Report:
    """One JSON object a line, each written at once, so that a crash loses none that came before it."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600)
        self.pid = real.getpid()
        self.results = 0

    def write(self, **record):
        # A test may fork and come back twice; only the process that was started reports.
        if real.getpid() == self.pid:
            self.results += record.get("event") == "finished"
            real.write(self.file, line_of(record))

    def end(self):
        """Nothing follows: how many results there must be."""
        self.write(event="end", results=self.results)

    def flush(self):
        """Nothing waits."""
