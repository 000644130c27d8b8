"""Plan, act, answer: tools, limits, and a crash between a plan and its outcome."""

import asyncio
import json

import pytest

from harness import FROM_START, Chat, SyncFaults, Wire

CALCULATE = {"name": "calculator", "arguments": {"expression": "6*7"}}
STEPS = ["PlanningStep", "ActionStep", "FinalAnswerStep"]


async def run(world, script, text="question", config=None, **provider):
    """One message to a model with this script; the transcript, its name and the upstream."""
    upstream = world.upstream(script=script)
    server = world.server(config, upstream, provider=provider)
    async with Chat(server, "tools", tokens=True, after=FROM_START) as chat:
        end = await chat.ask(text)
        return chat.transcript, end, upstream


def kinds(transcript, end):
    return [kind for kind, _ in transcript.steps(end["message_id"])]


def last_messages(upstream, role):
    return [m for m in upstream.requests()[-1]["messages"] if m["role"] == role]


# ---- A tool call ----


async def test_a_run_plans_acts_and_answers(world):
    transcript, end, _ = await run(world, [{"tool_calls": [CALCULATE]}, {"text": "It is 42."}])
    assert kinds(transcript, end) == STEPS and end["status"] == "completed"


async def test_the_planning_step_names_the_tool_and_its_arguments(world):
    transcript, end, _ = await run(world, [{"tool_calls": [CALCULATE]}, {"text": "It is 42."}])
    plan = transcript.steps(end["message_id"])[0][1]
    assert "calculator" in plan and "6*7" in plan


async def test_the_action_step_tells_what_the_tool_answered(world):
    transcript, end, _ = await run(world, [{"tool_calls": [CALCULATE]}, {"text": "It is 42."}])
    assert transcript.steps(end["message_id"])[1][1] == "calculator: 42"


async def test_the_model_is_told_what_the_tool_answered(world):
    _, _, upstream = await run(world, [{"tool_calls": [{**CALCULATE, "id": "call_7"}]},
                                       {"text": "It is 42."}])
    answer, = last_messages(upstream, "tool")
    assert (answer["tool_call_id"], answer["content"]) == ("call_7", "42")
    asked, = last_messages(upstream, "assistant")
    call, = asked["tool_calls"]
    assert call["id"] == "call_7" and json.loads(call["function"]["arguments"]) == CALCULATE[
        "arguments"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_arguments_that_come_in_fragments_are_joined(world, size):
    transcript, end, _ = await run(world, [
        {"tool_calls": [CALCULATE], "fragment_bytes": size, "split_bytes": 5},
        {"text": "It is 42."}])
    assert transcript.steps(end["message_id"])[1][1] == "calculator: 42"


@pytest.mark.parametrize("interleave", [False, True])
async def test_several_tools_may_be_called_in_one_step(world, interleave):
    calls = [{"name": "calculator", "arguments": {"expression": f"{n}+{n}"}} for n in (1, 2, 3)]
    transcript, end, upstream = await run(world, [
        {"tool_calls": calls, "fragment_bytes": 4, "interleave": interleave}, {"text": "Done."}])
    assert kinds(transcript, end) == STEPS
    answers = last_messages(upstream, "tool")
    assert [a["content"] for a in answers] == ["2", "4", "6"]
    assert [a["tool_call_id"] for a in answers] == [
        c["id"] for c in last_messages(upstream, "assistant")[0]["tool_calls"]]


async def test_text_before_a_tool_call_becomes_part_of_the_plan(world):
    transcript, end, _ = await run(world, [
        {"text": "Let me count.", "tool_calls": [CALCULATE]}, {"text": "It is 42."}])
    steps = transcript.steps(end["message_id"])
    assert steps[0][1].startswith("Let me count.") and steps[2][1] == "It is 42."


async def test_text_of_the_answer_is_not_shown_before_the_outcome_of_the_tools(world,
                                                                              fault_library):
    """Also where the model answers faster than the disk. A client shows what comes as it comes."""
    faults = SyncFaults(fault_library, world.folder)
    upstream = world.upstream(script=[{"tool_calls": [CALCULATE]}, {"text": "It is 42."}])
    server = world.server(upstream=upstream, environment=faults.environment)
    faults.delay(150)
    async with Chat(server, "order", tokens=True, after=FROM_START) as chat:
        await chat.ask("question")
        kinds_told = [f.get("step_type", f["type"]) for f in chat.frames]
        assert kinds_told.index("ActionStep") < kinds_told.index("agent_delta")


async def test_steps_follow_one_another_until_the_answer(world):
    calls = [{"tool_calls": [{"name": "calculator", "arguments": {"expression": f"1+{n}"}}],
              "after_tool": True} for n in range(3)]
    transcript, end, _ = await run(world, [*calls, {"text": "Done."}])
    assert kinds(transcript, end) == STEPS[:2] * 3 + STEPS[2:]


async def test_the_current_time_is_a_tool(world):
    transcript, end, _ = await run(world, [
        {"tool_calls": [{"name": "current_time", "arguments": {}}]}, {"text": "Now."}])
    assert "Z" in transcript.steps(end["message_id"])[1][1]


async def test_the_history_of_the_chat_can_be_searched(world):
    search = {"name": "search_history", "arguments": {"query": "Aleppo"}}
    upstream = world.upstream(script=[
        {"text": "Noted."}, {"tool_calls": [search]}, {"text": "In Aleppo."}])
    async with Chat(world.server(upstream=upstream), "search") as chat:
        await chat.ask("My sister lives in Aleppo.")
        end = await chat.ask("Where does she live?")
        action = chat.transcript.steps(end["message_id"])[1][1]
        assert "My sister lives in Aleppo." in action


async def test_the_search_of_the_history_sees_no_other_chat(world):
    search = {"name": "search_history", "arguments": {"query": "Aleppo"}}
    upstream = world.upstream(script=[
        {"text": "Noted."}, {"tool_calls": [search]}, {"text": "Unknown."}])
    server = world.server(upstream=upstream)
    async with Chat(server, "mine") as chat:
        await chat.ask("My sister lives in Aleppo.")
    async with Chat(server, "yours") as chat:
        end = await chat.ask("Where is it?")
        assert "sister" not in chat.transcript.steps(end["message_id"])[1][1]


async def test_a_run_without_a_chat_takes_the_same_steps(world):
    upstream = world.upstream(script=[{"tool_calls": [CALCULATE]}, {"text": "It is 42."}])
    server = world.server(upstream=upstream)
    steps = (await server.apost("/agent/run", {"task": "question"})).json
    assert [(s["step_type"], s["content"]) for s in steps[1:]] == [
        ("ActionStep", "calculator: 42"), ("FinalAnswerStep", "It is 42.")]


async def test_a_client_that_leaves_ends_its_run(world):
    upstream = world.upstream(script=[{"when": "endless", "tokens": 100_000, "token_ms": 10},
                                      {"text": "Quick."}])
    server = world.server({"cores": 1}, upstream)
    body = '{"task": "endless, please"}'
    with Wire(server.port) as wire:
        wire.send("POST /agent/run HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n{body}")
        await upstream.stats_until(lambda s: s["active"] == 1, "the call")
    await upstream.stats_until(lambda s: s["cancelled"] == 1 and s["active"] == 0,
                               "the end of the call")
    assert (await server.apost("/agent/run", {"task": "question"})).status == 200


async def test_requests_sent_ahead_are_no_reason_to_end_a_run(world):
    upstream = world.upstream(script=[{"text": "Some text.", "first_token_ms": 300}])
    server = world.server(upstream=upstream)
    body = '{"task": "question"}'
    one = ("POST /agent/run HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
           f"Content-Length: {len(body)}\r\n\r\n{body}")
    with Wire(server.port) as wire:
        wire.send(one)
        await upstream.stats_until(lambda s: s["active"] == 1, "the call")
        wire.send(one)
        for _ in range(2):
            answer = await asyncio.to_thread(wire.response)
            assert answer.status == 200 and "Some text." in answer.text


async def test_without_tools_the_model_is_told_of_none(world):
    _, _, upstream = await run(world, [{"text": "Hello."}], config={"agent": {"tools": False}})
    assert "tools" not in upstream.requests()[0]


async def test_the_model_is_told_of_the_tools_with_their_schemas(world):
    _, _, upstream = await run(world, [{"text": "Hello."}])
    tools = {t["function"]["name"]: t["function"] for t in upstream.requests()[0]["tools"]}
    assert {"calculator", "current_time", "search_history"} <= tools.keys()
    assert tools["calculator"]["parameters"]["required"] == ["expression"]


# ---- Calls that are wrong ----


@pytest.mark.parametrize("arguments", [{}, {"expression": 7}, {"expression": "1", "more": 1},
                                       "{\"expression\": ", "[]", "nonsense", {"expression": ""}])
async def test_wrong_arguments_are_told_to_the_model_which_may_try_again(world, arguments):
    transcript, end, upstream = await run(world, [
        {"tool_calls": [{"name": "calculator", "arguments": arguments}]},
        {"tool_calls": [CALCULATE], "after_tool": True},
        {"text": "It is 42."}])
    steps = transcript.steps(end["message_id"])
    assert [kind for kind, _ in steps] == STEPS[:2] * 2 + STEPS[2:]
    assert steps[1][1].startswith("calculator failed: ") and steps[3][1] == "calculator: 42"
    assert "arguments" in last_messages(upstream, "tool")[0]["content"]


async def test_an_unknown_tool_is_told_to_the_model_with_the_known_ones(world):
    transcript, end, upstream = await run(world, [
        {"tool_calls": [{"name": "teleport", "arguments": {}}]}, {"text": "Sorry."}])
    assert kinds(transcript, end) == STEPS and end["status"] == "completed"
    assert "calculator" in last_messages(upstream, "tool")[0]["content"]


async def test_a_tool_that_fails_does_not_end_the_run(world):
    transcript, end, _ = await run(world, [
        {"tool_calls": [{"name": "calculator", "arguments": {"expression": "1/0"}}]},
        {"text": "Not possible."}])
    assert "calculator failed" in transcript.steps(end["message_id"])[1][1]
    assert end["status"] == "completed"


async def test_a_good_and_a_wrong_call_in_one_step_are_both_answered(world):
    transcript, end, upstream = await run(world, [
        {"tool_calls": [{"name": "nothing", "arguments": {}, "id": "bad"},
                        {**CALCULATE, "id": "good"}]},
        {"text": "Half done."}])
    assert {a["tool_call_id"] for a in last_messages(upstream, "tool")} == {"bad", "good"}
    assert end["status"] == "completed" and kinds(transcript, end) == STEPS


# ---- Limits ----


def endless_calls():
    return [{"tool_calls": [CALCULATE], "after_tool": True, "repeat": 1000}, {"text": "x"}]


async def test_a_run_ends_at_its_limit_of_steps(world):
    transcript, end, upstream = await run(world, endless_calls(),
                                          config={"agent": {"steps_max": 3}})
    assert end["type"] == "agent_error" and "limit of 3 steps" in end["error"]
    assert kinds(transcript, end) == STEPS[:2] * 3 and upstream.stats()["requests"] == 3


async def test_a_run_ends_at_its_limit_of_tokens(world):
    script = [{**endless_calls()[0], "usage": {"prompt_tokens": 300, "completion_tokens": 100}},
              {"text": "x"}]
    _, end, upstream = await run(world, script, config={"agent": {"tokens_max": 1000}})
    assert end["type"] == "agent_error" and "limit of 1000 tokens" in end["error"]
    assert upstream.stats()["requests"] == 3


async def test_a_run_ends_at_its_limit_of_time_and_keeps_its_text(world):
    transcript, end, upstream = await run(world, [{"tokens": 100_000, "token_ms": 10}],
                                          config={"agent": {"run_timeout": "1s"}})
    assert end["type"] == "agent_error" and "longer than 1 s" in end["error"]
    assert kinds(transcript, end) == ["PartialAnswerStep"]
    await upstream.stats_until(lambda s: s["cancelled"] == 1, "the upstream call to be closed")


async def test_after_a_failed_run_the_next_message_is_answered(world):
    upstream = world.upstream(script=[{"status": 400}, {"text": "Fine again."}])
    async with Chat(world.server(upstream=upstream), "next") as chat:
        assert (await chat.ask("one"))["type"] == "agent_error"
        assert (await chat.ask("two"))["status"] == "completed"


async def test_the_usage_of_all_calls_is_summed(world):
    usage = {"prompt_tokens": 30, "completion_tokens": 10}
    _, end, _ = await run(world, [{"tool_calls": [CALCULATE], "usage": usage},
                                  {"text": "It is 42.", "usage": usage}])
    assert end["usage"] == {"prompt_tokens": 60, "completion_tokens": 20, "total_tokens": 80}


async def test_an_answer_that_is_cut_at_the_models_limit_is_an_answer(world):
    transcript, end, _ = await run(world, [{"text": "It is", "finish_reason": "length"}])
    assert end["status"] == "completed" and kinds(transcript, end) == ["FinalAnswerStep"]


# ---- A crash at every place ----


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("sync", [1, 2, 3, 4])
async def test_a_crash_at_any_sync_of_a_run_with_tools_repeats_no_step(world, fault_library, when,
                                                                      sync):
    """The syncs of such a run: the message, its plan, its outcome, its answer. Between the second
    and the third the tool runs, and it runs again after a crash there."""
    upstream = world.upstream(script=[
        {"when": "question", "tool_calls": [CALCULATE]}, {"text": "It is 42."}])
    faults = SyncFaults(fault_library, world.folder)
    server = world.server({"storage": {"partial_interval": "1m", "partial_bytes": "1MiB"}},
                          upstream, environment=faults.environment)
    async with Chat(server, "crash", after=FROM_START) as chat:
        await chat.frame("resumed")
        faults.kill(when, sync)
        await chat.send("question", "q")
        assert await asyncio.to_thread(server.wait_exit) == -9
        await chat.disconnected()
        faults.off()
        server.start()
        await chat.resume()
        if (await chat.frame("resumed"))["to"].endswith("-0"):
            await chat.send("question", "q")  # It was not durable yet, nor acknowledged.
        end = await chat.end_of("q")
        assert end["status"] == "completed"
        assert chat.transcript.steps("q")[1:] == [
            ("ActionStep", "calculator: 42"), ("FinalAnswerStep", "It is 42.")]
        assert [e["seq"] for e in chat.transcript.events] == [1, 2, 3, 4, 5]


async def test_a_crash_between_plan_and_outcome_runs_the_tool_again_without_asking_the_model(
        world, fault_library):
    upstream = world.upstream(script=[
        {"when": "question", "tool_calls": [CALCULATE]}, {"text": "It is 42."}])
    faults = SyncFaults(fault_library, world.folder)
    server = world.server({"storage": {"partial_interval": "1m", "partial_bytes": "1MiB"}},
                          upstream, environment=faults.environment)
    async with Chat(server, "between", after=FROM_START) as chat:
        await chat.frame("resumed")
        faults.kill("after", 2)
        await chat.send("question", "q")
        await asyncio.to_thread(server.wait_exit)
        await chat.disconnected()
        assert upstream.stats()["requests"] == 1
        faults.off()
        server.start()
        await chat.resume()
        await chat.end_of("q")
    assert upstream.stats()["requests"] == 2
    assert server.metric("tool_calls_total") == 1
