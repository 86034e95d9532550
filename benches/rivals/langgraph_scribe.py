"""The scenario in LangGraph: `langgraph_scribe.py DATA_DIR HOST:PORT RUNS`.

One node per tool step, the second and third in parallel, a checkpoint in SQLite
before the next step starts (`durability="sync"`). A thread that has a checkpoint is
resumed by invoking it with None.
"""

import operator
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from client import write


class State(TypedDict):
    """What the steps wrote."""

    written: Annotated[list[str], operator.add]


def build(saver: SqliteSaver, ledger: str) -> CompiledStateGraph:
    """The graph: keyed, then opaque and keyed at once, then opaque."""

    def step(name: str, kind: str):
        def node(_state: State, config: RunnableConfig) -> State:
            key = f"{config['configurable']['thread_id']}/{name}"
            return {"written": [write(ledger, kind, key)]}

        return node

    graph = StateGraph(State)
    graph.add_node("first", step("first", "keyed"))
    graph.add_node("second", step("second", "opaque"))
    graph.add_node("third", step("third", "keyed"))
    graph.add_node("fourth", step("fourth", "opaque"))
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    graph.add_edge("first", "third")
    graph.add_edge(["second", "third"], "fourth")
    graph.add_edge("fourth", END)
    return graph.compile(checkpointer=saver)


def drive(graph: CompiledStateGraph, run: str) -> str:
    """Starts a run, or takes it up where it stopped."""
    config: RunnableConfig = {"configurable": {"thread_id": run}}
    # What has a checkpoint is resumed even if `next` is empty: it is so too while
    # the writes of a step are saved and the checkpoint after them is not.
    known = graph.get_state(config).created_at is not None
    graph.invoke(None if known else {"written": []}, config, durability="sync")
    done = graph.get_state(config)
    whole = not done.next and len(done.values["written"]) == 4
    return "succeeded" if whole else "failed"


def main() -> None:
    """Drives every run, all at once, and prints how each ended."""
    folder, ledger, runs = sys.argv[1:]
    names = [f"run-{n}" for n in range(int(runs))]
    with SqliteSaver.from_conn_string(str(Path(folder) / "checkpoints.db")) as saver:
        graph = build(saver, ledger)
        with ThreadPoolExecutor(len(names)) as pool:
            ends = pool.map(lambda run: drive(graph, run), names)
            for run, status in zip(names, ends, strict=True):
                print(run, status, flush=True)


if __name__ == "__main__":
    main()
