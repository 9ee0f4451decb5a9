"""What guards the books never hangs: not when the garbage collector closes a lost call, not in a forked child.

Each script runs in a process of its own, which says where it hangs and exits, so that a deadlock is a failed test.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

PREPARED = '''
import asyncio, contextvars, faulthandler, gc, itertools, logging, os, sys, threading, time
import routeware
from routeware import MemoryLedger
from tests.fakes.ledgers import Remote
from tests.fakes.providers import answers, busy, hangs, reports, script

logging.disable()  # asyncio's word on destroyed tasks

WAYS = [{}, {"per_call_usd": 1000}, {"race_after_ms": 0}, {"race_after_ms": 0, "per_call_usd": 1000}]

def priced(providers, **settings):
    return providers.ask(usd={name: 0.25 for name in providers.behaviours}, options={"on_call": None}, **settings)

def lose(ledger, settings, nested=False):
    """Close a loop while a call is pending in a session; keep nothing but what the collector has to find."""
    started = []

    async def lost():
        await routeware.session("day", limit_usd=1e6, ledger=ledger).__aenter__()
        if nested:
            await routeware.session("inner", limit_usd=1e6, ledger=ledger).__aenter__()
        providers = script(a=hangs(), b=hangs())
        started.append(providers.started)
        await priced(providers, **settings)()

    async def begin():
        task = asyncio.get_running_loop().create_task(lost(), context=contextvars.copy_context())
        for _ in range(6):
            await asyncio.sleep(0)
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(begin())
    loop.close()
    kept.append((task, loop))
    return len(started[0])

class Suspending(MemoryLedger):
    """A subclass may suspend, so it is asked as any other ledger is."""

async def refused(call):
    try:
        await call
    except routeware.BudgetExceededError:
        return
    raise AssertionError("was not refused")

async def a_session(name, limit, ledger):
    async with routeware.session(name, limit_usd=limit, ledger=ledger):
        pass

STEPS = [
    lambda ledger: priced(script(a=reports(0.125, answers())))(),
    lambda ledger: priced(script(a=busy(), b=reports(0.125, answers())), per_call_usd=10)(),
    lambda ledger: priced(script(a=reports(0.125, answers())), session_usd=1e5)(),
    lambda ledger: priced(script(a=hangs(), b=reports(0.125, answers())), race_after_ms=0, session_usd=1e5)(),
    lambda ledger: refused(priced(script(a=answers()), per_call_usd=0.1)()),
    lambda ledger: refused(priced(script(a=answers()), session_usd=0)()),
    lambda ledger: a_session(f"new {len(names)}", 1, ledger),
]
"""What books money, or looks at the books; below, what each step settles and what it leaves uncertain."""
SETTLED, UNCERTAIN = [0.125] * 4 + [0] * 3, [0, 0, 0, 0.25, 0, 0, 0]

names = []

async def spend(ledger, *, begin=lambda: None, steps=STEPS):
    """Take steps that book money, in two sessions; ``begin`` is called right before each."""
    async with routeware.session("day", limit_usd=1e6, ledger=ledger):
        async with routeware.session("inner", limit_usd=1e6, ledger=ledger) as spending:
            for step in steps:
                names.append(None)
                call = step(ledger)
                begin()
                await call
                spending.remaining_usd, spending.reserved_usd

kept = []
'''

COLLECTED = '''
LEDGERS = {"none": lambda: None, "memory": MemoryLedger, "suspending": Suspending, "remote": Remote}
make = LEDGERS[sys.argv[1]]
ledger, settled, uncertain = make(), 0.0, 0.0

def begin(things):
    """Let the collector run when the n-th thing has been made from here on, with a lost call to find."""
    gc.collect(0)  # what is lost lies in the second generation now, and nothing was made in the first
    kept.clear()
    gc.set_threshold(things, 0, 100_000)
    gc.enable()

asyncio.run(spend(make()))
gc.disable()
gc.collect()
gc.freeze()
for (number, step), way, things in itertools.product(enumerate(STEPS), WAYS, range(1, 60)):
    faulthandler.dump_traceback_later(10, exit=True)  # each round is over in milliseconds
    uncertain += 0.25 * lose(ledger, way, nested=things % 3 == 0)
    asyncio.run(spend(ledger, begin=lambda: begin(things), steps=[step]))
    gc.disable()
    settled, uncertain = settled + SETTLED[number], uncertain + UNCERTAIN[number]
gc.collect()
if isinstance(ledger, MemoryLedger) and type(ledger) is MemoryLedger:
    async def sums():
        async with routeware.session("day", limit_usd=1e6, ledger=ledger) as spending:
            return spending.spent_usd, spending.uncertain_usd + spending.reserved_usd
    assert asyncio.run(sums()) == (settled, uncertain), (asyncio.run(sums()), settled, uncertain)
print("ended")
'''

OFTEN = """
ledger = MemoryLedger()
asyncio.run(spend(ledger))
gc.collect()
gc.freeze()
gc.set_threshold(1)
for number in range(60):
    faulthandler.dump_traceback_later(10, exit=True)
    lose(ledger, WAYS[number % len(WAYS)])
    kept.clear()
    asyncio.run(spend(ledger))
print("ended")
"""

FORKED = """
import signal, warnings
warnings.simplefilter("ignore")  # a fork of a process with threads is what is tested
ledger, number = MemoryLedger(), 0
stopped, forked = threading.Event(), threading.Event()

def stop_at(line):
    '''Let the thread stop at the n-th line of the books that it comes to, until the process has forked.'''
    seen = 0

    def trace(frame, event, argument):
        nonlocal seen
        if f"{os.sep}routeware{os.sep}budget{os.sep}" not in frame.f_code.co_filename:
            return None
        if event == "line":
            seen += 1
            if seen == line:
                stopped.set()
                forked.wait(30)
        return trace

    return trace

def books(line):
    sys.settrace(stop_at(line))
    asyncio.run(spend(ledger, steps=STEPS[2:4]))
    sys.settrace(None)
    ended.append(line)
    stopped.set()

asyncio.run(spend(ledger))
while True:
    number += 1
    ended = []
    stopped.clear()
    forked.clear()
    thread = threading.Thread(target=books, args=(number,))
    thread.start()
    stopped.wait(30)
    if ended:
        break
    child = os.fork()
    if not child:
        signal.alarm(10)  # kills it where it hangs
        asyncio.run(spend(ledger))
        asyncio.run(spend(None))
        os._exit(0)
    forked.set()
    _, status = os.waitpid(child, 0)
    thread.join()
    assert status == 0, f"forked at line {number} of the books, the child ended with {status}"
assert number > 50, number
print("ended")
"""


def run(script: str, *arguments: str) -> None:
    """Run a script in a process of its own, and show what it says when it hangs or fails."""
    command = [sys.executable, "-c", PREPARED + script, *arguments]
    told = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (told.returncode, told.stdout) == (0, "ended\n"), told.stderr[-4000:]


@pytest.mark.parametrize("ledger", ["none", "memory", "suspending", "remote"])
def test_a_lost_call_may_be_collected_at_any_step_of_the_money_path(ledger: str) -> None:
    """The collector runs where something is made; closing the lost call books it, on the same thread."""
    run(COLLECTED, ledger)


def test_a_collector_that_always_runs_hangs_nothing() -> None:
    """With `gc.set_threshold(1)`, and a loop closed with a call pending every time."""
    run(OFTEN)


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs os.fork")
def test_a_forked_child_does_not_hang() -> None:
    """Another thread may have been booking when the process forked: nobody in the child would ever finish that."""
    run(FORKED)
