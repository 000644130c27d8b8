"""The API's documents: that they are sound, how they are served, and their pages in a browser."""

import gzip
import http.client
import json
import subprocess

import jsonschema
import pytest

from api_schemas import Document
from harness import ROOT, fetch

METHODS = ("get", "put", "post", "delete")
KEY = "a-key-of-the-tests"


@pytest.fixture(scope="module")
def server(shared_world):
    return shared_world.server()


@pytest.fixture(scope="module")
def openapi(server):
    return Document(server.get("/api/v1/openapi.json").json)


@pytest.fixture(scope="module")
def asyncapi(server):
    return Document(server.get("/api/v1/asyncapi.json").json)


def operations(document):
    return [(path, method, item[method]) for path, item in document.root["paths"].items()
            for method in METHODS if method in item]


# ---- The documents ----


@pytest.mark.parametrize("name", ["openapi", "asyncapi"])
def test_every_reference_of_a_document_leads_somewhere_in_it(name, request):
    document = request.getfixturevalue(name)
    for ref in document.refs():
        assert ref.startswith("#/"), ref
        document.at(ref)


@pytest.mark.parametrize("name", ["openapi", "asyncapi"])
def test_every_schema_is_one_and_its_examples_are_valid(name, request):
    document = request.getfixturevalue(name)
    for title, schema in document.root["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        for example in schema.get("examples", []):
            document.check(title, example)
        for member, part in schema.get("properties", {}).items():
            for example in part.get("examples", []):
                document.check_schema(part, example, f"{title}.{member}")


def test_every_example_of_a_body_is_valid(openapi):
    def contents(node):
        if isinstance(node, list):
            for each in node:
                yield from contents(each)
        elif isinstance(node, dict):
            for name, each in node.items():
                if name == "content":
                    yield from each.values()
                elif name not in ("example", "examples", "schema"):
                    yield from contents(each)

    checked = 0
    for media in contents({"paths": openapi.root["paths"],
                           "responses": openapi.root["components"]["responses"]}):
        examples = [each["value"] for each in media.get("examples", {}).values()]
        for example in examples + ([media["example"]] if "example" in media else []):
            openapi.check_schema(media["schema"], example, media)
            checked += 1
    assert checked > 20


def test_every_operation_has_its_own_name_and_tells_what_can_go_wrong(openapi):
    names = [operation["operationId"] for _, _, operation in operations(openapi)]
    assert len(set(names)) == len(names)
    for path, method, operation in operations(openapi):
        assert operation["summary"], path
        answers = operation["responses"]
        if path.startswith("/api/v1/") and operation["tags"] != ["service"]:
            assert {"401", "403", "429", "503"} <= set(answers), (path, method)
            assert method != "post" or "422" in answers, path


def test_every_variable_of_a_path_is_described(openapi):
    for path, item in openapi.root["paths"].items():
        named = [openapi.at(each["$ref"])["name"] for each in item.get("parameters", [])]
        assert [f"{{{name}}}" in path for name in named] == [True] * path.count("{"), path


def test_every_documented_message_is_of_a_channel(asyncapi):
    used = {name for channel in asyncapi.root["channels"].values() for name in channel["messages"]}
    assert used == set(asyncapi.root["components"]["messages"])


# ---- Serving them ----


def test_a_document_is_gzipped_for_who_takes_it(server):
    plain = server.get("/api/v1/openapi.json")
    packed = server.get("/api/v1/openapi.json", Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body


def test_a_document_is_not_sent_again_to_who_has_it(server):
    first = server.get("/api/v1/docs/swagger-ui-bundle.js")
    again = server.get("/api/v1/docs/swagger-ui-bundle.js", If_None_Match=first.headers["etag"])
    assert again.status == 304 and again.body == b""


def test_after_a_304_the_connection_goes_on(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/api/v1/openapi.json")
    answer = connection.getresponse()
    answer.read()
    for expected in (304, 200):
        headers = {"If-None-Match": answer.headers["ETag"]} if expected == 304 else {}
        connection.request("GET", "/api/v1/openapi.json", headers=headers)
        next_answer = connection.getresponse()
        next_answer.read()
        assert next_answer.status == expected
    connection.close()


def test_where_there_are_keys_the_documents_need_one(world):
    server = world.server({"api_keys": [KEY]})
    for path in ("docs", "redoc", "openapi.json", "asyncapi.json", "docs/docs.js"):
        assert server.get(f"/api/v1/{path}").status == 401, path
        assert server.get(f"/api/v1/{path}", Authorization=f"Bearer {KEY}").status == 200, path


def test_a_page_of_another_site_may_not_read_the_documents_by_its_name(server):
    assert server.get("/api/v1/openapi.json", Host="evil.example").status == 403


def test_documents_are_only_read(server):
    answer = fetch(server.port, "POST", "/api/v1/openapi.json", {})
    assert answer.status == 405 and answer.headers["allow"] == "GET, HEAD"


# ---- The pages in a browser ----


def look(server, path, selector, count, clicked=""):
    """Opens a page in Chromium; tells what tests/web/look.mjs saw."""
    assert (ROOT / "build" / "web" / "installed").exists(), "run scripts/setup_npm web"
    done = subprocess.run(["node", ROOT / "tests" / "web" / "look.mjs", server.url(path), selector,
                           str(count), clicked], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("page,selector,clicked", [
    ("docs", ".opblock", "#operations-agent-create_agent .opblock-summary-control"),
    ("redoc", "[data-section-id^='tag/'][data-section-id*='/operation/']", ""),
])
def test_a_page_shows_every_operation_and_loads_nothing_from_elsewhere(server, openapi, page,
                                                                       selector, clicked):
    expected = operations(openapi)
    seen = look(server, f"/api/v1/{page}", selector, len(expected), clicked)
    assert seen["status"] == 200 and seen["found"] == len(expected)
    assert [o["summary"] for _, _, o in expected if o["summary"] not in seen["text"]] == []
    assert "مكتب السفر" in seen["text"]
    for trouble in ("console", "violations", "outside", "failed"):
        assert seen[trouble] == [], trouble
