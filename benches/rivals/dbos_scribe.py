"""The scenario in DBOS: `dbos_scribe.py DATABASE_URL HOST:PORT RUNS`.

One step per tool call, the second and third gathered, workflow ids that are the same
after a restart. `DBOS.launch` recovers what was pending; a workflow that nobody has
started yet is started.
"""

import asyncio
import sys

from dbos import DBOS, SetWorkflowID

from client import write


@DBOS.step()
async def keyed(ledger: str, key: str) -> str:
    """A write under an idempotency key."""
    return await asyncio.to_thread(write, ledger, "keyed", key)


@DBOS.step()
async def opaque(ledger: str, key: str) -> str:
    """A write that nobody can ask about afterwards."""
    return await asyncio.to_thread(write, ledger, "opaque", key)


@DBOS.workflow()
async def scribe(ledger: str) -> int:
    """Keyed, then opaque and keyed at once, then opaque."""
    run = DBOS.workflow_id
    written = [await keyed(ledger, f"{run}/first")]
    written += await asyncio.gather(
        opaque(ledger, f"{run}/second"), keyed(ledger, f"{run}/third")
    )
    written.append(await opaque(ledger, f"{run}/fourth"))
    return len(written)


async def drive(run: str, ledger: str) -> str:
    """Starts a workflow unless that was done before, and waits for it."""
    if await DBOS.get_workflow_status_async(run) is None:
        with SetWorkflowID(run):
            handle = await DBOS.start_workflow_async(scribe, ledger)
    else:
        handle = await DBOS.retrieve_workflow_async(run)
    return "succeeded" if await handle.get_result() == 4 else "failed"


async def work(ledger: str, runs: int) -> None:
    """Drives every run, all at once, and prints how each ended."""
    names = [f"run-{n}" for n in range(runs)]
    ends = await asyncio.gather(*(drive(run, ledger) for run in names))
    for run, status in zip(names, ends, strict=True):
        print(run, status, flush=True)


def main() -> None:
    """Launches DBOS, which recovers, and asks for the runs."""
    database, ledger, runs = sys.argv[1:]
    DBOS(
        config={
            "name": "scribe",
            "system_database_url": database,
            "log_level": "ERROR",
            "application_version": "1",
        }
    )
    DBOS.launch()
    asyncio.run(work(ledger, int(runs)))
    DBOS.destroy()


if __name__ == "__main__":
    main()
