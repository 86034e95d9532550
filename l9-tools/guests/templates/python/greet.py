"""A tool for L9: `greet` is plain Python, `WitWorld` the thin shell around it."""

import json

from componentize_py_types import Err
from wit_world import WitWorld as World
from wit_world.imports import host, progress, types


def greet(given: dict) -> dict:
    """The work itself; a ValueError says what is wrong and what would mend it."""
    name = given["name"].strip(" ")
    if not name:
        raise ValueError("name is empty: give at least one character")
    return {"greeting": f"Hello, {name}."}


class WitWorld(World):
    def invoke(self, call: types.Call) -> str:
        # A component may hold several tools: tell them apart by `call.tool`.
        if call.tool != "my/greet":
            raise Err(types.Fault_InvalidInput(f"no tool named {call.tool} in this component"))
        host.log(types.Level.INFO, "somebody is greeted")
        try:
            output = greet(json.loads(call.input))
        except ValueError as error:
            raise Err(types.Fault_InvalidInput(str(error))) from error
        progress.show("the greeting is ready")
        return json.dumps(output, ensure_ascii=False, separators=(",", ":"))
