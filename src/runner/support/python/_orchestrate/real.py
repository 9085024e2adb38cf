"""What reporting needs of the standard library, taken before a test can replace it.

freezegun replaces functions in every module that has them as attributes. It finds nothing here: they are attributes of one
object.
"""

import json
import os
import time


class real:
    """The functions as they were when this process began."""

    # Durations. On Linux it is CLOCK_MONOTONIC, which the supervisor reads too: it bounds each test's time, not only the job's.
    clock = staticmethod(time.perf_counter)
    encode = staticmethod(json.JSONEncoder(ensure_ascii=False).encode)
    decode = staticmethod(json.JSONDecoder().decode)
    getpid = staticmethod(os.getpid)
    write = staticmethod(os.write)
    pread = staticmethod(os.pread)
    open = staticmethod(open)
    exit = staticmethod(os._exit)


def line_of(record):
    """A record as a line of JSON."""
    try:
        return real.encode(record).encode() + b"\n"
    except UnicodeEncodeError:
        return real.encode(printable(record)).encode() + b"\n"


def printable(value):
    r"""The same value with `\udc80` where a text has half a surrogate pair, which has no place in UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {printable(name): printable(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [printable(part) for part in value]
    return value
