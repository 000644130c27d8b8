"""The agents of /api/v1 as a small FastAPI service with SQLite has them: what the platform is compared
with. Every write is synced before it is answered. Run by uvicorn; AGENTS_DB names the file."""

import os
import sqlite3
import threading
import uuid
from datetime import datetime, timezone
from typing import List, Optional

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

app = FastAPI()
lock = threading.Lock()
db = sqlite3.connect(os.environ["AGENTS_DB"], check_same_thread=False)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=FULL")
db.execute("CREATE TABLE IF NOT EXISTS agents (id TEXT PRIMARY KEY, name TEXT, description TEXT, prompt TEXT, "
           "created_at TEXT, updated_at TEXT)")


class AgentInput(BaseModel):
    name: str
    description: Optional[str] = None
    prompt: str


class Agent(AgentInput):
    id: str
    created_at: str
    updated_at: str


def to_agent(row) -> Agent:
    return Agent(id=row[0], name=row[1], description=row[2], prompt=row[3], created_at=row[4], updated_at=row[5])


@app.post("/api/v1/agent", status_code=201)
def create(given: AgentInput) -> Agent:
    now = datetime.now(timezone.utc).isoformat()
    row = (str(uuid.uuid4()), given.name, given.description, given.prompt, now, now)
    with lock:
        db.execute("INSERT INTO agents VALUES (?, ?, ?, ?, ?, ?)", row)
        db.commit()
    return to_agent(row)


@app.get("/api/v1/agent/{agent_id}")
def read(agent_id: str) -> Agent:
    with lock:
        row = db.execute("SELECT * FROM agents WHERE id = ?", (agent_id,)).fetchone()
    if row is None:
        raise HTTPException(status_code=404, detail="there is no agent with this id")
    return to_agent(row)


@app.get("/api/v1/agent")
def newest(limit: int = 50) -> List[Agent]:
    with lock:
        rows = db.execute("SELECT * FROM agents ORDER BY created_at DESC LIMIT ?", (limit,)).fetchall()
    return [to_agent(row) for row in rows]
