"""A stack as the source documents write it, with models: the decision maker, prompt and rag tools,
each with its own provider, and embeddings of a provider."""

import json

import pytest

from kiss import Rest

PLANTS = "The dragon tree of Socotra bleeds a red resin."


def ai_client(upstream, model):
    return {"provider": "openai", "model": model, "api_key": "sk-test",
            "base_url": upstream.base_url}


def stack(upstream, tools=("general_queries", "document_tool"), embeddings=True):
    every = {
        "general_queries": {"name": "general_queries", "kind": "prompt",
                            "role": "process other queries if no suitable tool is found.",
                            "ai_client": ai_client(upstream, "general")},
        "document_tool": {"name": "document_tool", "kind": "rag",
                          "role": "process documents and provide answers based on them.",
                          **({"embeddings": "text-embedding-ada-002"} if embeddings else {}),
                          "ai_client": ai_client(upstream, "documents")}}
    return {"stack": {
        "decision_maker": {"name": "decision_maker", "kind": "prompt",
                           "role": "classify tools for given queries",
                           "ai_client": ai_client(upstream, "decider")},
        "tools": [every[name] for name in tools]}}


def chat_models(upstream):
    """The models that were asked for answers, in order."""
    return [request["model"] for request in upstream.requests()
            if "messages" in request]


def asked(rest, text):
    answer = rest.query(text)
    assert answer.status == 200, answer
    return answer.json


def test_the_decision_makers_choice_answers_by_its_own_model(world):
    upstream = world.upstream(script=[{"text": '{"tool": "general_queries"}'},
                                      {"text": "Good morning to you."}])
    rest = Rest(world.server(stack(upstream))).open()
    answer = asked(rest, "Good morning!")
    assert answer["result"] == "Good morning to you."
    assert answer["extras"]["tool"] == "general_queries"
    assert chat_models(upstream) == ["decider", "general"]


def test_a_rag_tools_model_is_given_the_passages(world):
    upstream = world.upstream(script=[{"text": '{"tool": "document_tool"}'}, {"text": "Resin."}])
    rest = Rest(world.server(stack(upstream))).open()
    assert rest.store({"documents": [{"id": "plants", "content": PLANTS}]}).status == 200
    answer = asked(rest, "What does the dragon tree bleed?")
    assert answer["extras"]["supporting_documents"][0]["document_id"] == "plants"
    assert answer["extras"]["embeddings"] == "text-embedding-ada-002"
    last = upstream.requests()[-1]
    assert last["model"] == "documents"
    assert PLANTS in json.dumps(last["messages"], ensure_ascii=False)


def test_a_decision_that_is_none_is_asked_for_once_more_and_then_the_prompt_tool_answers(world):
    upstream = world.upstream(script=[{"text": "the document tool, I think", "repeat": 2},
                                      {"text": "An answer."}])
    server = world.server(stack(upstream))
    rest = Rest(server).open()
    answer = asked(rest, "Hm?")
    assert answer["extras"]["tool"] == "general_queries"
    assert chat_models(upstream) == ["decider", "decider", "general"]
    steps = [entry["content"] for entry in
             server.get(f"/history/{rest.session['client_id']}").json
             if entry["step_type"] == "PlanningStep"]
    assert "named no tool, twice" in steps[0]


@pytest.mark.parametrize("tool", ["general_queries", "document_tool"])
def test_with_one_tool_nobody_decides(world, tool):
    upstream = world.upstream(script=[{"text": "An answer."}])
    rest = Rest(world.server(stack(upstream, tools=(tool,)))).open()
    if tool == "document_tool":
        assert rest.store({"documents": [{"content": PLANTS}]}).status == 200
    assert asked(rest, "What does the dragon tree bleed?")["extras"]["tool"] == tool
    assert "decider" not in chat_models(upstream)


def test_a_model_that_is_down_is_503_and_embeddings_that_fail_store_nothing(world):
    upstream = world.upstream(script=[{"status": 500}])
    rest = Rest(world.server(stack(upstream, tools=("document_tool",)))).open()
    upstream.script([{"route": "embeddings", "status": 500}])
    answer = rest.store({"documents": [{"id": "plants", "content": PLANTS}]})
    assert answer.status == 503, answer
    upstream.script([{"status": 500}])
    assert rest.store({"documents": [{"id": "plants", "content": PLANTS}]}).status == 200
    answer = rest.query("What does the dragon tree bleed?")
    assert answer.status == 503 and "sk-test" not in str(answer.body), answer
    upstream.script([{"text": "Resin."}])
    assert asked(rest, "What does the dragon tree bleed?")["result"] == "Resin."
