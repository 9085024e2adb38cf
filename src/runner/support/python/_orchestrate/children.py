"""Which processes a test has left running, in a process that goes on with other tests.

A child that outlives its own parent goes to the guard, the process above this one. Both have a file that names their children:
reading it costs a few microseconds, and nothing is looked at where it is as before.
"""

import os

from .real import real


class Children:
    """The processes below this one and its guard."""

    def __init__(self):
        self.files = []
        for pid in (os.getpid(), os.getppid()):
            try:
                self.files.append(os.open("/proc/%d/task/%d/children" % (pid, pid), os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                # Not every kernel has it.
                pass
        self.names = self.read()
        self.known = set(self.names.split())

    def read(self):
        try:
            return b"".join(real.pread(file, 65536, 0) for file in self.files)
        except OSError:
            # A test has closed it.
            self.files = []
            return b""

    def new(self):
        """The numbers of those that run and did not when this was last asked."""
        names = self.read()
        if names == self.names:
            return []
        self.names = names
        pids = set(names.split())
        new, self.known = pids - self.known, pids
        return sorted(int(pid) for pid in new if runs(int(pid)))


def runs(pid):
    """Whether it does not only wait for somebody to ask how it ended: proc_pid_stat(5)."""
    try:
        with real.open("/proc/%d/stat" % pid, "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False
