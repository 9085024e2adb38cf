"""What a project opens while its tests are collected, and forks of this process would share.

With pytest-xdist each worker has its own. So a host whose forks would share a position in a file, a queue of events, a
folder or a lock serves one worker only. Generators of random numbers get a new seed in each fork instead: `random` itself
does that for its own one.
"""

import os
import random
import weakref

import pytest

# Devices without a state.
STATELESS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
KINDS = {
    "anon_inode:[eventpoll]": "an epoll",
    "anon_inode:inotify": "an inotify",
    "anon_inode:[eventfd]": "an eventfd",
    "anon_inode:[timerfd]": "a timerfd",
    "anon_inode:[signalfd]": "a signalfd",
    "pipe": "a pipe",
    "socket": "a socket",
}
# More of them are not named.
MOST_NAMES = 5


class Opened:
    """Compares what is open before conftests are loaded with what is open after collection."""

    def __init__(self):
        self.descriptors = {}
        self.mappings = set()
        # Only where it is this process's own.
        self.folder = os.environ.get("TMPDIR")
        if self.temporary_names():
            self.folder = None
        # Generators that were not given a seed.
        self.generators = weakref.WeakSet()

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self):
        """Wrappers have begun by now: the files that pytest's capture opened are no news."""
        self.descriptors = descriptors()
        self.mappings = mappings()
        self.watch_seeds()

    def watch_seeds(self):
        """Notes generators that are made without a seed while tests are collected."""
        seed, setstate = random.Random.seed, random.Random.setstate

        def noted_seed(generator, a=None, version=2):
            if a is None:
                self.generators.add(generator)
            else:
                self.generators.discard(generator)
            return seed(generator, a, version)

        def noted_setstate(generator, state):
            self.generators.discard(generator)
            return setstate(generator, state)

        def stop():
            # Unless somebody has replaced them meanwhile.
            if random.Random.seed is noted_seed:
                random.Random.seed = seed
            if random.Random.setstate is noted_setstate:
                random.Random.setstate = setstate

        random.Random.seed, random.Random.setstate = noted_seed, noted_setstate
        self.stop = stop

    def collected(self):
        """Tests are collected: why each worker needs a host of its own, if it does."""
        self.stop()
        found = self.files() + self.locks() + self.folders()
        if not found:
            return None
        more = ["and %d more" % (len(found) - MOST_NAMES)] if len(found) > MOST_NAMES else []
        return "its tests opened this while they were collected: " + ", ".join(found[:MOST_NAMES] + more)

    def files(self):
        known = set(self.descriptors.values())
        names = []
        for number, link in descriptors().items():
            # A copy of what was open before shares nothing new.
            if number in self.descriptors or link in known or link in STATELESS:
                continue
            name = KINDS.get(link) or KINDS.get(link.split(":")[0]) or shown(link)
            if name not in names:
                names.append(name)
        return names

    def locks(self):
        new = mappings() - self.mappings
        return ["shared memory (%s)" % shown(name) for name in sorted(new)]

    def folders(self):
        return ["the temporary %s" % name for name in sorted(self.temporary_names())]

    def temporary_names(self):
        try:
            return set(os.listdir(self.folder)) if self.folder else set()
        except OSError:
            return set()

    def seed_again(self):
        """In a fork: gives it numbers of its own."""
        for generator in self.generators:
            generator.seed()


def descriptors():
    """Links of the open descriptors, by number. Empty where the system has no /proc."""
    links = {}
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return links
    for number in numbers:
        try:
            links[int(number)] = os.readlink("/proc/self/fd/" + number)
        except OSError:
            # That was the folder itself.
            pass
    return links


def mappings():
    """Memory that forks can write to together."""
    try:
        with open("/proc/self/maps", errors="replace") as file:
            lines = [line.split(None, 5) for line in file]
    except OSError:
        return set()
    return {(line[5].strip() if len(line) > 5 else "anonymous") for line in lines if line[1][1] == "w" and line[1][3] == "s"}


def shown(path):
    """A path as a person knows it."""
    relative = os.path.relpath(path) if path.startswith("/") else path
    return path if relative.startswith("..") else relative
