#!/usr/bin/env python3
"""A server of the Model Context Protocol that keeps notes, in its own working folder.

It needs nothing but Python, and speaks version 2025-11-25 over standard input and output.
"""

import json
import sys

TEXT = {"type": "object", "required": ["text"], "additionalProperties": False,
        "properties": {"text": {"type": "string"}}}
TOOLS = [
    {"name": "add", "description": "Keeps a note.", "inputSchema": TEXT},
    {"name": "list", "description": "Gives all notes.", "inputSchema": {"type": "object"}},
]


def call(name, arguments):
    if name == "add":
        with open("notes", "a") as notes:
            notes.write(json.dumps(arguments["text"]) + "\n")
        return "kept"
    with open("notes", "a+") as notes:
        notes.seek(0)
        return notes.read()


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "notes", "version": "1.0.0"}}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": call(params["name"], params["arguments"])}]}
    return None


for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    result = answer(asked.get("method"), asked.get("params"))
    told = {"result": result} if result else {"error": {"code": -32601, "message": "there is no such method"}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **told}), flush=True)
