"""Files that one process at a time may write."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from lib.errors import UserError
from lib.progress import say, shown_path

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # of some network file systems
HELD = (errno.EWOULDBLOCK, errno.EACCES)  # by another process


def hold(path: Path) -> int:
    """Open a file to append to it, and hold it against other processes; returns its descriptor.

    UserError if another process holds it. A file system without locks is reported and survived.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        if e.errno in NO_LOCKS:
            place = f"the file system of {shown_path(path)} has no locks ({e.strerror})"
            say(f"{place}: take care that no second process writes it")
            return descriptor
        os.close(descriptor)
        if e.errno not in HELD:
            raise
        advice = "wait for it or stop it"
        raise UserError(f"{path} is being written by another process; {advice}") from None
    if not _is_at(path, descriptor):
        os.close(descriptor)
        advice = "run the same command again"
        raise UserError(f"{path} was finished by another process just now; {advice}")
    return descriptor


def remove_unless_held(path: Path) -> None:
    """Remove a file, if it is there and no other process holds it."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            if e.errno in HELD:
                return
        path.unlink()


@contextlib.contextmanager
def waited_for(path: Path) -> Iterator[None]:
    """Hold a lock once no other process does; it ends with this process at the latest.

    Nobody waits where the file system has no locks, or where nothing may be written.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(open(path, "w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file still has its name: who held it before may have removed it."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
