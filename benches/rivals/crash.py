#!/usr/bin/env -S python3 -B
"""kill -9 at random moments: L9, LangGraph and DBOS on the same scenario.

Twelve runs of four tool steps write to a ledger of ours, which counts raw requests.
The worker is killed a random time after its first request and started again, until
every run of the round has ended; then a new round begins on an empty store, until all
kills are spent. See README.md beside this file for what the columns mean.
"""

import argparse
import asyncio
import math
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import postgres
from environment import HERE, ledger_agent, pinned, python
from ledger import Ledger

RUNS = 12
KEYED = OPAQUE = RUNS * 2
DELAY = 0.012
KILL_MS = (4, 400)
PATIENCE = 120
BANDS = (0, 1, 4, 8, 16)

# The command of a worker, from an empty folder, a round's number and the ledger.
Command = Callable[[Path, int, str], list[str]]


@dataclass
class Figures:
    """What one system did."""

    rounds: int = 0
    completed: int = 0
    lost: int = 0
    keyed_again: int = 0
    keyed_twice: int = 0
    keyed_never: int = 0
    opaque_twice: int = 0
    opaque_never: int = 0
    in_air: list[Counter[str]] = field(default_factory=list)
    seconds: float = 0.0

    def hit(self, kind: str) -> int:
        """The requests of a kind that kills left unanswered."""
        return sum(kinds[kind] for kinds in self.in_air)

    def count(self, ledger: Ledger, succeeded: int) -> None:
        """Adds a round that has ended."""
        self.rounds += 1
        self.completed += succeeded
        self.lost += RUNS - succeeded
        raw, done = ledger.requests.items(), ledger.applied.items()
        keyed = Counter({key: n for (kind, key), n in raw if kind == "keyed"})
        opaque = Counter({key: n for (kind, key), n in raw if kind == "opaque"})
        applied = sum(n for (kind, _), n in done if kind == "keyed")
        self.keyed_again += keyed.total() - applied
        # A key that was not the same each time shows as one key too many.
        self.keyed_twice += max(applied - KEYED, 0)
        self.keyed_never += max(KEYED - len(keyed), 0)
        self.opaque_twice += sum(n > 1 for n in opaque.values())
        self.opaque_twice += max(len(opaque) - OPAQUE, 0)
        self.opaque_never += max(OPAQUE - len(opaque), 0)


async def kill(process: asyncio.subprocess.Process, ledger: Ledger) -> Counter[str]:
    """Kills our own child; says how many requests of a kind were unanswered then."""
    answered = ledger.answered.copy()
    process.kill()
    await process.wait()
    await asyncio.sleep(2 * DELAY)  # what was on its way arrives
    return ledger.arrived - answered


async def live(
    command: Sequence[str], ledger: Ledger, errors: Path, after: float | None
) -> tuple[Counter[str] | None, int]:
    """One life of a worker, killed `after` seconds past its first request.

    Gives the requests in the air at its kill, or None and how many runs succeeded if
    it ended by itself.
    """
    ledger.watch()
    with errors.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=log
        )
    ended = asyncio.create_task(process.communicate())
    first = asyncio.create_task(ledger.first.wait())
    try:
        both = (ended, first)
        await asyncio.wait(both, timeout=PATIENCE, return_when="FIRST_COMPLETED")
        if first.done() and after is not None:
            await asyncio.wait((ended,), timeout=after)
            if process.returncode is None and not ended.done():
                return await kill(process, ledger), 0
        await asyncio.wait((ended,), timeout=PATIENCE)
        if not ended.done():
            process.kill()
        lines = (await ended)[0].decode().splitlines()
        return None, sum(line.endswith(" succeeded") for line in lines)
    finally:
        first.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()


def moment(chance: random.Random) -> float:
    """Seconds to a kill; short and long ones alike, since speeds differ tenfold."""
    low, high = map(math.log, KILL_MS)
    return math.exp(chance.uniform(low, high)) / 1000


async def measure(
    name: str, command: Command, ledger: Ledger, kills: int, seed: int
) -> Figures:
    """Rounds of one system until all kills are spent."""
    figures = Figures()
    chance = random.Random(f"{seed} {name}")
    began = time.monotonic()
    while len(figures.in_air) < kills:
        ledger.forget()
        moments = []
        with tempfile.TemporaryDirectory(prefix="l9-rivals-") as folder:
            worker = command(Path(folder), figures.rounds, ledger.address)
            errors = Path(folder) / "errors"
            while True:
                spent = len(figures.in_air) >= kills
                after = None if spent else moment(chance)
                in_air, succeeded = await live(worker, ledger, errors, after)
                if in_air is None:
                    break
                figures.in_air.append(in_air)
                moments.append(f"{(after or 0) * 1000:.0f} ms")
            figures.count(ledger, succeeded)
            told = "killed at " + ", ".join(moments) if moments else "not killed"
            print(f"{name}, round {figures.rounds}: {told}", flush=True)
            if succeeded < RUNS:
                print(errors.read_text()[-2000:], file=sys.stderr)
    figures.seconds = time.monotonic() - began
    return figures


def bands(figures: Figures) -> str:
    """The histogram of requests in the air at a kill."""
    tops = [f"{next_ - 1}" for next_ in BANDS[1:]]
    names = ["0", *(f"{low}–{top}" for low, top in zip(BANDS[1:], tops[1:]))]
    names.append(f"{BANDS[-1]}+")
    in_air = [kinds.total() for kinds in figures.in_air]
    counts = Counter(sum(n >= low for low in BANDS) - 1 for n in in_air)
    return ", ".join(f"{name}: {counts[band]}" for band, name in enumerate(names))


def table(results: dict[str, Figures]) -> str:
    """The figures as Markdown, one column a system."""
    rows: dict[str, Callable[[Figures], object]] = {
        "kills": lambda f: len(f.in_air),
        "… with requests in the air": lambda f: sum(n.total() > 0 for n in f.in_air),
        "keyed requests in the air at kills": lambda f: f.hit("keyed"),
        "opaque requests in the air at kills": lambda f: f.hit("opaque"),
        "runs asked": lambda f: f.rounds * RUNS,
        "runs completed": lambda f: f.completed,
        "runs lost": lambda f: f.lost,
        "keyed effects asked": lambda f: f.rounds * KEYED,
        "… requested again under the same key": lambda f: f.keyed_again,
        "… applied twice": lambda f: f.keyed_twice,
        "… never applied": lambda f: f.keyed_never,
        "opaque effects asked": lambda f: f.rounds * OPAQUE,
        "… issued twice": lambda f: f.opaque_twice,
        "… never issued": lambda f: f.opaque_never,
        "seconds": lambda f: f"{f.seconds:.0f}",
    }
    lines = ["| | " + " | ".join(results) + " |", "|---|" + "---:|" * len(results)]
    for name, figure in rows.items():
        cells = " | ".join(f"{figure(found)}" for found in results.values())
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def systems(options: argparse.Namespace, stack: ExitStack) -> dict[str, Command]:
    """The command of each system that was asked for."""
    versions = pinned()
    langgraph = f"LangGraph {versions['langgraph']} SQLite"
    dbos = f"DBOS {versions['dbos']}"
    found: dict[str, Command] = {}

    def rival(script: str, where: str, ledger: str) -> list[str]:
        return [str(python()), "-B", str(HERE / script), where, ledger, str(RUNS)]

    if "l9" in options.systems:
        agent = str(ledger_agent(options.l9))
        found["L9 SQLite"] = lambda folder, _, ledger: [
            agent,
            str(folder),
            ledger,
            str(RUNS),
        ]
    if "langgraph" in options.systems:
        found[langgraph] = lambda folder, _, ledger: rival(
            "langgraph_scribe.py", str(folder), ledger
        )
    if "dbos" in options.systems:
        found[f"{dbos} SQLite"] = lambda folder, _, ledger: rival(
            "dbos_scribe.py", f"sqlite:///{folder}/dbos.db", ledger
        )
    where = postgres.binaries()
    if "dbos-postgres" in options.systems and where:
        url = stack.enter_context(postgres.server(where))
        found[f"{dbos} PostgreSQL"] = lambda _, number, ledger: rival(
            "dbos_scribe.py", f"{url}/round{number}", ledger
        )
    elif "dbos-postgres" in options.systems:
        print("no PostgreSQL server here: DBOS runs on SQLite only", file=sys.stderr)
    return found


async def compare(options: argparse.Namespace) -> dict[str, Figures]:
    """Every system, one after another, against one ledger."""
    ledger = Ledger(DELAY)
    results = {}
    async with await ledger.start():
        with ExitStack() as stack:
            for name, command in systems(options, stack).items():
                results[name] = await measure(
                    name, command, ledger, options.kills, options.seed
                )
    return results


def main() -> None:
    """Reads the options, compares, prints the table; fails if L9 broke its promise."""
    known = ["l9", "langgraph", "dbos", "dbos-postgres"]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=60, help="of each system")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument(
        "--l9",
        metavar="PATH",
        default=os.environ.get("L9_LEDGER_AGENT"),
        help="a built ledger_agent; cargo builds one otherwise",
    )
    parser.add_argument("systems", nargs="*", help=f"of {', '.join(known)}")
    options = parser.parse_args()
    options.systems = options.systems or known
    if unknown := set(options.systems) - set(known):
        parser.error(f"nobody knows {', '.join(unknown)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # and clear up
    print(f"seed {options.seed}, {options.kills} kills of each", flush=True)
    results = asyncio.run(compare(options))
    print("\n" + table(results) + "\n\nrequests in the air at a kill:")
    for name, figures in results.items():
        print(f"{name}: {bands(figures)}")
    ours = results.get("L9 SQLite", Figures())
    if ours.lost or ours.keyed_twice or ours.keyed_never or ours.opaque_twice:
        sys.exit("L9 broke its promise")


if __name__ == "__main__":
    main()
