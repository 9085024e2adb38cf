"""A session host's side of the session protocol, for hosts that are written in Python and can fork.

A host loads everything once and then serves connections on the socket that ORCHESTRATE_SOCKET names; what goes over it is a
JSON object a line (docs/session-protocol.md). Each worker is a fork of its own. Between it and the host stands a guard, a fork
that does nothing but wait: what the worker leaves behind when it ends comes to the guard, so it is known whose it was, and the
guard tells how the worker ended, which a process that crashes can't tell itself.
"""

import _socket
import atexit
import os
import sys
import traceback

from .forks import has_children
from .real import line_of, real

try:
    # Not `ctypes`, which every fork would carry along: 1 MB.
    import _ctypes
except ImportError:  # Some builds of Python lack it; then orphans come to the supervisor at once.
    _ctypes = None

# Folders and files of what runs tests.
RUNNING = {"_pytest", "pluggy", "_orchestrate", "orchestrate_pytest.py"}
# The first line of a connection comes from `orchestrate`, which sends it at once.
PATIENCE = 30.0


class Channel:
    """Objects over a socket, a line each. What is written waits until it is flushed."""

    def __init__(self, connection):
        # Far from the numbers that programs close or replace without asking.
        try:
            import fcntl

            high = fcntl.fcntl(connection, fcntl.F_DUPFD_CLOEXEC, 200)
            os.close(connection)
        except OSError:
            high = connection
        # Not the class of `socket`, which a project may have replaced.
        self.socket = _socket.socket(fileno=high)
        self.pid = real.getpid()
        self.read_already = b""
        self.waiting = []
        # How many results were written since somebody last asked.
        self.results = 0

    def read(self):
        """The next object; None at the end."""
        while b"\n" not in self.read_already:
            more = self.socket.recv(65536)
            if not more:
                return None
            self.read_already += more
        line, self.read_already = self.read_already.split(b"\n", 1)
        return real.decode(line.decode())

    def is_closed(self):
        """Whether the other side has said that nothing more is wanted."""
        try:
            return not self.read_already and self.socket.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT) == b""
        except OSError:
            # There is nothing to read yet.
            return False

    def write(self, **record):
        self.results += record["event"] == "finished"
        self.waiting.append(line_of(record))

    def flush(self):
        lines, self.waiting = self.waiting, []
        # A test may fork and come back twice; only the process that was started reports.
        if lines and real.getpid() == self.pid:
            self.socket.sendall(b"".join(lines))


class Host:
    """Listens from the start, so that whoever connects need not try again until everything is loaded."""

    def __init__(self):
        # Not for tests, which would inherit it.
        path = os.environ.pop("ORCHESTRATE_SOCKET")
        self.listener = _socket.socket(_socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.guards = set()
        self.leaves = False

    def serve(self, tests, work, before_fork):
        """Answers until it is told to finish. `tests(keywords)` gives the listing's records and the closing one; `work(channel, order)`
        serves a worker's connection in a process of its own, and `before_fork(order)` is called in this one."""
        while True:
            channel = Channel(self.listener._accept()[0])
            self.reap()
            try:
                channel.socket.settimeout(PATIENCE)
                request = channel.read() or {}
                channel.socket.settimeout(None)
            except (OSError, ValueError):
                request = {}
            if "list" in request:
                self.list(channel, tests(request["list"].get("keywords", False)))
            elif "work" in request:
                before_fork(request["work"])
                self.fork(channel, request["work"], work)
            # A project may have warnings of what is left open turned into errors.
            channel.socket.close()
            if "finish" in request:
                self.listener.close()
                return

    def list(self, channel, records):
        try:
            for number, record in enumerate(records):
                channel.waiting.append(line_of(record))
                # Whatever memory it takes, all forks will have.
                if number % 100 == 99:
                    channel.flush()
            channel.flush()
        except OSError:
            pass

    def may_leave(self, yes):
        """Whether it may end before its forks do, since nothing is left to be done at its end."""
        # What was started while it loaded may look for this process.
        self.leaves = yes and not has_children()

    def reap(self):
        # By number: other children are somebody else's.
        for pid in list(self.guards):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.guards.discard(pid)

    def fork(self, channel, order, work):
        sys.stdout.flush()
        sys.stderr.flush()
        order["last"] = self.leaves and order.get("last", False)
        try:
            guard = os.fork()
        except OSError as error:
            channel.write(event="refused", message="can't fork: %s" % error)
            channel.flush()
            return
        if guard:
            if order["last"]:
                os._exit(0)
            self.guards.add(guard)
            return
        try:
            self.listener.close()
            adopt_orphans()
            worker = os.fork()
            if not worker:
                run(channel, order, work)
            become_guard(order, channel, worker)
            status = os.waitpid(worker, 0)[1]
            channel.pid = real.getpid()
            # On a line of its own: the worker may have died within one.
            channel.waiting = [b"\n"]
            if os.WIFSIGNALED(status):
                channel.write(event="ended", signal=os.WTERMSIG(status))
            else:
                channel.write(event="ended", exit=os.WEXITSTATUS(status))
            channel.flush()
        except BaseException as error:
            channel.pid = real.getpid()
            channel.waiting = [b"\n", line_of({"event": "refused", "message": str(error)})]
            channel.flush()
        finally:
            os._exit(0)


def become_guard(order, channel, worker):
    """Executes the program that does what follows, if there is one: it has none of the host's memory."""
    try:
        program, root = order.get("guard"), os.stat("/")
        # Below another root it is another program, or would not find its libraries.
        if program and [root.st_dev, root.st_ino] == order.get("root"):
            os.set_inheritable(channel.socket.fileno(), True)
            # With no variables: those of the group are for Python, and may be of another system's libraries.
            os.execve(program, ["orchestrate", "guard", str(channel.socket.fileno()), str(worker)], {})
    except OSError:
        pass


def leave(code):
    """Ends this process as Python does, but for taking everything apart first, which takes long where much was loaded."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def adopt_orphans():
    """PR_SET_CHILD_SUBREAPER, prctl(2)."""
    if _ctypes is not None and sys.platform == "linux":
        prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")
        _ctypes.call_function(prctl, (36, 1, 0, 0, 0))


def print_short(error):
    """Prints an exception without the frames of pytest and ours, between which there are few that matter."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not RUNNING.intersection(frame.filename.replace(os.sep, "/").split("/"))]
    lines = traceback.format_list(own or frames) + traceback.format_exception_only(type(error), error)
    sys.stderr.write("".join(lines))


def run(channel, order, work):
    """A worker's whole life."""
    code = 1
    try:
        channel.pid = real.getpid()
        os.setsid()
        # What the host has registered is the host's to do.
        atexit._clear()
        output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        for number in (1, 2):
            os.dup2(output, number)
        os.close(output)
        os.environ["ORCHESTRATE_PID"] = str(os.getpid())
        os.environ.update(order.get("env", {}))
        code = work(channel, order) or 0
        atexit._run_exitfuncs()
    except BaseException as error:
        print_short(error)
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            # Threads that tests left running are not waited for.
            os._exit(code)
