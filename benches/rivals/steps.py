#!/usr/bin/env -S python3 -B
"""Durable steps per second, one after another, of the rivals on SQLite.

Beside them the raw limit, one 512-byte row a commit under WAL and FULL, as L9's own
bench measures it: `cargo bench -p l9-memory --bench journal`.
"""

import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TypedDict

from environment import pinned, python

STEPS = 500
TIMES = 5
BODY = "x" * 512


def raw(folder: Path) -> float:
    """SQLite alone; seconds for all steps."""
    with sqlite3.connect(folder / "raw.db", isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE steps (seq INTEGER PRIMARY KEY, body TEXT)")
        began = time.perf_counter()
        for seq in range(STEPS):
            connection.execute("INSERT INTO steps VALUES (?, ?)", (seq, BODY))
        return time.perf_counter() - began


def langgraph(folder: Path) -> float:
    """One node that comes back to itself, a checkpoint before each next step."""
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import END, START, StateGraph

    class State(TypedDict):
        count: int
        body: str

    def step(state: State) -> State:
        return {"count": state["count"] + 1, "body": BODY}

    def onward(state: State) -> str:
        return END if state["count"] == STEPS else "step"

    graph = StateGraph(State)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", onward)
    with SqliteSaver.from_conn_string(str(folder / "checkpoints.db")) as saver:
        app = graph.compile(checkpointer=saver)
        config = {"configurable": {"thread_id": "1"}, "recursion_limit": STEPS + 2}
        began = time.perf_counter()
        app.invoke({"count": 0, "body": ""}, config, durability="sync")
        return time.perf_counter() - began


def dbos(folder: Path) -> float:
    """One workflow that calls a step again and again."""
    from dbos import DBOS

    url = f"sqlite:///{folder}/dbos.db"
    DBOS(config={"name": "steps", "system_database_url": url, "log_level": "ERROR"})

    @DBOS.step()
    def step() -> str:
        return BODY

    @DBOS.workflow()
    def workflow() -> None:
        for _ in range(STEPS):
            step()

    DBOS.launch()
    began = time.perf_counter()
    workflow()
    seconds = time.perf_counter() - began
    DBOS.destroy(destroy_registry=True)
    return seconds


def main() -> None:
    """Takes turns, so that a busy moment of the machine hits all alike."""
    if Path(sys.prefix) != python().parents[1]:
        os.execv(python(), [str(python()), "-B", __file__])
    versions = pinned()
    benches: dict[str, Callable[[Path], float]] = {
        "SQLite alone": raw,
        f"LangGraph {versions['langgraph']} SQLite": langgraph,
        f"DBOS {versions['dbos']} SQLite": dbos,
    }
    rates: dict[str, list[float]] = {name: [] for name in benches}
    for _ in range(TIMES):
        for name, bench in benches.items():
            with tempfile.TemporaryDirectory(prefix="l9-rivals-") as folder:
                rates[name].append(STEPS / bench(Path(folder)))
    limit = median(rates["SQLite alone"])
    print("| | steps/s, median | lowest and highest | of SQLite alone |")
    print("|---|---:|---:|---:|")
    for name, found in rates.items():
        middle, low, high = median(found), min(found), max(found)
        share = middle / limit
        print(f"| {name} | {middle:.0f} | {low:.0f} to {high:.0f} | {share:.2f} |")


if __name__ == "__main__":
    main()
