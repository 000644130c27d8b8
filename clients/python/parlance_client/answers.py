"""What the server answers: mappings whose members are attributes, too."""

from __future__ import annotations

import json
from typing import Any


class Fields(dict[str, Any]):
    """A JSON object. Its members are read as `answer["result"]` or as `answer.result`."""

    _OPTIONAL: frozenset[str] = frozenset()
    _SECRET: frozenset[str] = frozenset()

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        if name in self._OPTIONAL:
            return None
        raise AttributeError(f"{type(self).__name__} has no member {name!r}")

    def __repr__(self) -> str:
        shown = {k: "..." if k in self._SECRET else v for k, v in self.items()}
        return f"{type(self).__name__}({shown})"

    def model_dump(self) -> dict[str, Any]:
        """A plain dict, as the old client's answers gave it."""
        return dict(self)

    def model_dump_json(self) -> str:
        """The JSON text, as the old client's answers gave it."""
        return json.dumps(self, ensure_ascii=False)


class Session(Fields):
    """The answer of `authorize_stack`. Keep `client_id` and `client_secret` of a persistent one."""

    session_id: str
    access_token: str
    token_type: str
    expires_in: int
    client_id: str
    client_secret: str
    scope: str

    _OPTIONAL = frozenset({"session_id", "token_type", "expires_in", "scope"})
    _SECRET = frozenset({"access_token", "client_secret"})


class Answer(Fields):
    """The answer of every other call. `extras` of a query names the tool and the passages used."""

    stack_id: str | None
    result: str | None
    extras: dict[str, Any] | None

    _OPTIONAL = frozenset({"stack_id", "result", "extras"})


class Event(Fields):
    """One event of a step stream; a member that an event of this type does not have is None.

    Recorded events have `seq` and `cursor`: client_message, agent_step, message_end, and an
    agent_error that ends a message. Passing ones do not: agent_delta, agent_snapshot, agent_reset,
    gap, and an agent_error that ends nothing.
    """

    type: str
    chat_id: str | None
    message_id: str | None
    seq: int | None
    cursor: str | None
    timestamp: str | None
    step_type: str | None
    message: str | None
    status: str | None
    usage: dict[str, int] | None
    error: str | None
    delta: str | None
    text: str | None
    history: list[dict[str, Any]] | None

    _OPTIONAL = frozenset({"chat_id", "message_id", "seq", "cursor", "timestamp", "step_type",
                           "message", "status", "usage", "error", "delta", "text", "history"})

    @property
    def terminal(self) -> bool:
        """Whether this is the last event of its message."""
        return self.type == "message_end" or (self.type == "agent_error" and self.seq is not None)
