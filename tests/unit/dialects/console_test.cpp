#include "dialects/console.h"

#include <limits>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/json.h"

namespace parlance::dialects::console {
namespace {

rapidjson::Document parsed(const std::string& text) {
  auto document = json::parse(text);
  if (!document) FAIL(document.error().detail << " in " << text);
  return std::move(*document);
}

State some_state() {
  State state{.at = {1000}};
  state.node = {
      .version = "1.2", .environment = "TEST", .cores = 2, .uptime = std::chrono::seconds(7)};
  state.activity.runs = 3;
  state.activity.oldest_runs.push_back({.session = {"a"},
                                        .message = {"m \"1\""},
                                        .activity = RunActivity::acting,
                                        .started = {900}});
  state.activity.sessions_awake = 9;
  state.activity.last_used.push_back({.session = {"a"}, .activity = SessionActivity::running});
  state.providers.push_back({.view = {.name = "main"}});
  return state;
}

rapidjson::Document event_of(Event event) {
  std::string out;
  append_event(out, {{4, 17}, {0}, std::move(event)});
  CHECK(out.find('\n') == std::string::npos);
  return parsed(out);
}

}  // namespace

TEST_CASE("a state tells its runs and how many there are in all") {
  const auto state = parsed(to_json(some_state()));
  CHECK(state["runs"]["total"].GetInt() == 3);
  const auto& run = state["runs"]["oldest"][0];
  CHECK(json::view(run["message_id"]) == "m \"1\"");
  CHECK(json::view(run["activity"]) == "acting");
  CHECK(run["started_ms"].GetInt() == 900);
}

TEST_CASE("a provider without calls within the last minute has no latency") {
  const auto state = parsed(to_json(some_state()));
  CHECK(state["providers"][0]["first_text_ms"].IsNull());
}

TEST_CASE("a provider without prices has no cost") {
  const auto state = parsed(to_json(some_state()));
  CHECK(state["providers"][0]["cost"].IsNull());
}

TEST_CASE("what a provider costs is told with its currency") {
  State state = some_state();
  state.providers[0].view.cost = Cost{0.25, "EUR"};
  const auto told = parsed(to_json(state));
  const auto& cost = told["providers"][0]["cost"];
  CHECK(cost["amount"].GetDouble() == 0.25);
  CHECK(json::view(cost["currency"]) == "EUR");
}

TEST_CASE("calls that were cancelled are told beside those that failed") {
  State state = some_state();
  state.providers[0].view.failed = 2;
  state.providers[0].view.cancelled = 3;
  const auto told = parsed(to_json(state));
  CHECK(told["providers"][0]["failed"].GetInt() == 2);
  CHECK(told["providers"][0]["cancelled"].GetInt() == 3);
}

TEST_CASE("a size of the write-ahead log that the store does not know is null") {
  State state = some_state();
  state.storage = StorageView{.log_bytes = std::nullopt};
  CHECK(parsed(to_json(state))["storage"]["log_bytes"].IsNull());
  state.storage->log_bytes = 7;
  CHECK(parsed(to_json(state))["storage"]["log_bytes"].GetInt() == 7);
}

TEST_CASE("what is not known yet of the storage is left out") {
  State state = some_state();
  CHECK_FALSE(parsed(to_json(state)).HasMember("storage"));
  state.storage = StorageView{.file_bytes = 12};
  CHECK(parsed(to_json(state))["storage"]["file_bytes"].GetInt() == 12);
}

TEST_CASE("a history has every series, with as many values as there are times") {
  std::vector<Sample> samples(2);
  samples[0].at = {5000};
  samples[1].at = {10'000};
  samples[1].values[0] = 2.5F;
  const auto history = parsed(history_json(std::chrono::seconds(5), samples));
  CHECK(history["step_ms"].GetInt() == 5000);
  REQUIRE(history["at_ms"].Size() == 2);
  CHECK(history["series"].MemberCount() == kSeries.size());
  for (const auto& series : history["series"].GetObject()) CHECK(series.value.Size() == 2);
  CHECK(history["series"]["runs"][1].GetDouble() == 2.5);
}

TEST_CASE("what was not measured is null, not zero") {
  std::vector<Sample> samples(1);
  samples[0].values[8] = std::numeric_limits<float>::quiet_NaN();
  const auto history = parsed(history_json(std::chrono::seconds(5), samples));
  CHECK(history["series"][kSeries[8].data()][0].IsNull());
  State state = some_state();
  state.sample = samples[0];
  CHECK(parsed(to_json(state))["sample"][kSeries[8].data()].IsNull());
}

TEST_CASE("a history without steps is one") {
  CHECK(parsed(history_json(std::chrono::seconds(5), {}))["at_ms"].Empty());
}

TEST_CASE("an event of a log tells its place and its time") {
  const auto event = event_of(RunEnded{{"m"}, RunOutcome::cancelled, {3, 4}});
  CHECK(event["seq"].GetInt() == 17);
  CHECK(json::view(event["cursor"]) == "4-17");
  CHECK(json::view(event["time"]) == "1970-01-01T00:00:00.000Z");
  CHECK(json::view(event["outcome"]) == "cancelled");
}

TEST_CASE("every kind of event has its name") {
  const auto type = [](Event event) {
    return std::string(json::view(event_of(std::move(event))["type"]));
  };
  CHECK(type(MessageAccepted{{"m"}, "hi"}) == "message_accepted");
  CHECK(type(StepRecorded{{"m"}, StepType::planning, "", {}, {}}) == "step_recorded");
  CHECK(type(RunEnded{{"m"}, RunOutcome::completed, {}}) == "run_ended");
  CHECK(type(RunFailed{{"m"}, "no", Errc::unavailable, {}}) == "run_failed");
  CHECK(type(LifecycleChanged{}) == "lifecycle_changed");
  CHECK(type(DocumentsStored{1, "", {"t"}, {"d"}}) == "documents_stored");
}

TEST_CASE("a step tells what its tools were asked and what they answered") {
  const auto plan =
      event_of(StepRecorded{{"m"}, StepType::planning, "", {{"c1", "calculate", "{\"x\":1}"}}, {}});
  CHECK(json::view(plan["tool_calls"][0]["arguments"]) == "{\"x\":1}");
  const auto action =
      event_of(StepRecorded{{"m"}, StepType::action, "", {}, {{"c1", "calculate", "1", true}}});
  CHECK(action["tool_results"][0]["failed"].GetBool());
}

TEST_CASE("a page of a log holds its events in order") {
  const std::vector<RecordedEvent> events = {{{1, 1}, {0}, MessageAccepted{{"m"}, "hi"}},
                                             {{1, 2}, {0}, RunEnded{{"m"}, {}, {}}}};
  const auto page = parsed(page_json({"s"}, 2, events));
  CHECK(page["last"].GetInt() == 2);
  REQUIRE(page["events"].Size() == 2);
  CHECK(page["events"][1]["seq"].GetInt() == 2);
}

}  // namespace parlance::dialects::console
