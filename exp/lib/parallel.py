"""Work on all cores: processes for Python that computes, threads for calls that wait."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context


def cores() -> int:
    """The CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(function: Callable, items: Iterable) -> list:
    """`function` of every item, in order, by as many threads as there are cores."""
    with ThreadPoolExecutor(cores()) as threads:
        return list(threads.map(function, items))


class ProcessPool:
    """One worker process a core, all of which run the same function; use it in a `with`.

    The workers are forked when the pool is opened, so `function` and what it holds are there
    already and are never pickled. They must be forked before a file is locked, or they would hold
    the lock when this process is killed. A worker whose parent was killed ends by itself.
    """

    def __init__(self, function: Callable):
        self.size = cores()
        initial = (function, os.getpid())
        self._executor = ProcessPoolExecutor(self.size, get_context("fork"), _start_worker, initial)
        self._executor.submit(os.getpid).result()  # the first task forks all workers

    def __enter__(self) -> "ProcessPool":
        return self

    def __exit__(self, *error) -> None:
        self._executor.shutdown(cancel_futures=True)

    def map(self, items: Iterable) -> Iterator:
        """(item, function of the item) for every item in order; few are read ahead."""
        pending: deque = deque()
        for item in items:
            pending.append((item, self._executor.submit(_call_function, item)))
            if len(pending) > 2 * self.size:
                yield _finished(pending.popleft())
        while pending:
            yield _finished(pending.popleft())


def _finished(task: tuple) -> tuple:
    item, future = task
    return item, future.result()


_worker_function: list[Callable] = []  # in a worker process: the one function that it runs


def _start_worker(function: Callable, parent: int) -> None:
    _worker_function.append(function)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _call_function(item):
    return _worker_function[0](item)


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:  # a parent that was killed can tell nobody
        time.sleep(0.5)
    os._exit(1)
