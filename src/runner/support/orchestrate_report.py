"""The file that a runner of ours writes what it does to."""

import json
import os


class Report:
    """One JSON object a line, each written at once, so that a crash loses none that came before it. What a test prints can't be
    taken for one."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600)
        self.pid = os.getpid()

    def write(self, **record):
        # A test may fork and come back twice; only the process that was started reports.
        if os.getpid() == self.pid:
            os.write(self.file, json.dumps(record).encode("utf-8", "replace") + b"\n")

    def flush(self):
        """Nothing waits."""
