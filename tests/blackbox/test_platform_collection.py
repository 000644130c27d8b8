"""The Postman collection against the real server, as newman runs it; and every answer that it got
against openapi.json."""

import json
import re
import subprocess
import urllib.parse

import pytest

from api_schemas import Document
from harness import ROOT

COLLECTION = ROOT / "schemas" / "api" / "parlance.postman_collection.json"
RECORDINGS = ROOT / "tests" / "data" / "voice"
NEWMAN = ROOT / "build" / "web" / "node_modules" / "newman" / "bin" / "newman.js"
KEY = "a-key-of-the-tests"
NOT_DOCUMENTED = {("PATCH", "/api/v1/agent/{agent_id}")}


class Run:
    """What newman did: `answers` are (name, method, path, status, headers, body)."""

    def __init__(self, report):
        self.failures = [
            f"{failure['source']['name']}: {failure['error']['test']}: {failure['error']['message']}"
            for failure in report["run"]["failures"]]
        self.answers = [self._answer(each) for each in report["run"]["executions"]]

    @staticmethod
    def _answer(execution):
        response = execution["response"]
        headers = {header["key"].lower(): header["value"] for header in response["header"]}
        path = "/" + "/".join(execution["request"]["url"]["path"])
        return (execution["item"]["name"], execution["request"]["method"], path, response["code"],
                headers, bytes(response.get("stream", {}).get("data", [])))


@pytest.fixture(scope="module")
def server(shared_world):
    return shared_world.server({"api_keys": [KEY]})


@pytest.fixture(scope="module")
def run(server, tmp_path_factory):
    assert NEWMAN.exists(), "run scripts/setup_npm web"
    folder = tmp_path_factory.mktemp("newman")
    report = folder / "report.json"
    done = subprocess.run(
        ["node", NEWMAN, "run", COLLECTION, "--env-var", f"base_url={server.url('')}", "--env-var",
         f"api_key={KEY}", "--working-dir", RECORDINGS, "--no-insecure-file-read",
         "--timeout-request", "30000", "--timeout", "200000", "--reporters", "json",
         "--reporter-json-export", report],
        capture_output=True, text=True, timeout=240)
    assert report.exists(), done.stdout + done.stderr
    return Run(json.loads(report.read_text()))


@pytest.fixture(scope="module")
def openapi(server):
    return Document(server.get("/api/v1/openapi.json", Authorization=f"Bearer {KEY}").json)


def operation_of(openapi, method, path):
    """The path as the document has it, and the operation; a path without variables goes first."""
    for template, item in sorted(openapi.root["paths"].items(), key=lambda each: "{" in each[0]):
        pattern = re.sub(r"\\\{[a-z_]+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, urllib.parse.unquote(path)):
            return template, item.get(method.lower())
    return path, None


def test_the_collection_runs_green(run):
    assert run.failures == []


def test_the_collection_has_every_operation(run, openapi):
    documented = {(method.upper(), path) for path, item in openapi.root["paths"].items()
                  for method in item if method in ("get", "put", "post", "delete")}
    asked = {(method, operation_of(openapi, method, path)[0])
             for _, method, path, _, _, _ in run.answers}
    assert documented - asked == set()
    assert asked - documented == NOT_DOCUMENTED


def test_every_answer_is_as_documented(run, openapi):
    for name, method, path, status, headers, body in run.answers:
        operation = operation_of(openapi, method, path)[1]
        if operation is None:
            continue
        what = f"{name}: {method} {path} {status}"
        assert str(status) in operation["responses"], what
        answer = operation["responses"][str(status)]
        answer = openapi.at(answer["$ref"]) if "$ref" in answer else answer
        media = headers.get("content-type", "").partition(";")[0]
        contents = answer.get("content", {})
        if status == 204:
            assert body == b"", what
            continue
        found = contents.get(media) or contents.get(media.partition("/")[0] + "/*")
        assert found is not None, f"{what}: {media} is not documented"
        if media.endswith("json"):
            openapi.check_schema(found["schema"], json.loads(body), what)
