"""The agent platform as a client of it sees it: its calls, and what every answer of it must be."""

import re

from harness import fetch

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NOBODY = "019a9a3e-7c1d-7b5e-9f00-3d2a4c5b6e70"
AGENT = {"name": "Travel desk", "prompt": "You help people plan trips."}

# Nothing of these is tried again by the server itself.
ONCE = {"breaker_failures": 1_000_000, "tries_max": 1}


def named(arguments):
    """Headers given as arguments: If_Match for If-Match."""
    return {name.replace("_", "-"): value for name, value in arguments.items()}


class Api:
    """The platform of one server."""

    def __init__(self, server):
        self.server = server

    def call(self, method, path, body=None, headers=None):
        return fetch(self.server.port, method, "/api/v1" + path, body, headers)

    def get(self, path, **headers):
        return self.call("GET", path, headers=named(headers))

    def post(self, path, body, **headers):
        return self.call("POST", path, body, named(headers))

    def put(self, path, body, **headers):
        return self.call("PUT", path, body, named(headers))

    def delete(self, path, **headers):
        return self.call("DELETE", path, headers=named(headers))

    def agent(self, **members):
        answer = self.post("/agent", {**AGENT, **members})
        assert answer.status == 201, answer
        return answer.json

    def session(self, agent=None, **members):
        body = {"agent_id": (agent or self.agent())["id"], **members}
        answer = self.post("/session", body)
        assert answer.status == 201, answer
        return answer.json

    def say(self, session, text, **headers):
        return self.post("/message/text", {"session_id": session["id"], "content": text},
                         **headers)

    def retry(self, session, message_id, **headers):
        return self.post(f"/message/{message_id}/retry", {"session_id": session["id"]}, **headers)

    def conversation(self, session, query=""):
        answer = self.get(f"/message/conversion/{session['id']}{query}")
        assert answer.status == 200, answer
        return answer.json

    def messages(self, session):
        return self.conversation(session)["items"]


def is_problem(answer, status, *words):
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == status and problem["detail"]
    assert problem["instance"] == answer.headers["x-request-id"]
    for word in words:
        assert word in problem["detail"], problem
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    return problem


def is_entity(entity):
    assert UUID7.fullmatch(entity["id"]), entity
    assert TIME.fullmatch(entity["created_at"]) and TIME.fullmatch(entity["updated_at"])
    assert entity["created_at"] <= entity["updated_at"]
