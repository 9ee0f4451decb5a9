"""A child process that is forked while a thread of its parent holds locks."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack

import pytest

from routeware.locks import Lock

__all__ = ["exit_code_of_child"]


def exit_code_of_child(locks: Iterable[Lock], target: Callable[[], object]) -> int | None:
    """Fork a child that runs ``target`` while a thread holds ``locks``; give its exit code, ``None`` if it hangs."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("there is no fork here")
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock.held)
            held.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    try:
        child = multiprocessing.get_context("fork").Process(target=target)
        child.start()
        child.join(20)
        code = child.exitcode
        child.kill()
        child.join()
    finally:
        done.set()
        holder.join()
    return code
