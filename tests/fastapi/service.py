"""A small service that knows nothing of L9: notes behind a key, described by FastAPI itself."""

import os
from typing import Optional

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import APIKeyHeader
from pydantic import BaseModel

app = FastAPI(title="Notes", version="1.2.0")
key = APIKeyHeader(name="X-Api-Key")
notes: dict[int, dict] = {}


class Author(BaseModel):
    name: str
    mail: Optional[str] = None


class Note(BaseModel):
    text: str
    author: Optional[Author] = None
    tags: list[str] = []


def known(given: str = Depends(key)) -> str:
    if given != os.environ["SERVICE_KEY"]:
        raise HTTPException(401, "who is it?")
    return given


@app.put("/books/{book}/notes/{number}", operation_id="putNote")
def put_note(book: str, number: int, note: Note, pinned: bool = False, given: str = Depends(known)):
    notes[number] = {"book": book, "pinned": pinned, **note.model_dump()}
    # A service that tells everybody's key to everybody.
    return {"stored": notes[number], "by": given}


@app.get("/notes", operation_id="listNotes")
def list_notes(limit: int = 10, given: str = Depends(known)):
    return {"notes": list(notes.values())[:limit]}
