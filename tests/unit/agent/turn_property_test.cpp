// Random runs of the turn's state machine, and restarts from every prefix of what they recorded.

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

#include "agent/history.h"
#include "agent/turn.h"
#include "tests/unit/agent/test_tools.h"
#include "tests/unit/base/seeded.h"

namespace parlance::agent {
namespace {

/// Every call of an assistant is answered by a tool message right after it: what providers ask for.
void require_well_formed(const std::vector<ChatMessage>& messages) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    std::multiset<std::string> open;
    for (const ToolCall& call : messages[i].tool_calls) open.insert(call.id);
    for (std::size_t j = i + 1; !open.empty(); ++j) {
      REQUIRE(j < messages.size());
      REQUIRE(messages[j].role == Role::tool);
      const auto found = open.find(messages[j].tool_call_id);
      REQUIRE(found != open.end());
      open.erase(found);
    }
  }
}

/// Plays everything around a turn: the disk, the model, the tools and the users; and checks every
/// effect against what the turn promises.
class World {
 public:
  /// `voice`: the message is spoken, and so is its answer.
  World(test::Seeded& random, const Options& options, const Toolbox& toolbox, bool voice)
      : random_(random), options_(options), toolbox_(toolbox), voice_(voice) {}

  /// Begins the turn, with what an earlier one recorded.
  void begin(std::vector<StepRecorded> steps, std::string text_shown) {
    steps_ = steps;
    for (const StepRecorded& step : steps) {
      if (step.type == StepType::planning) planned_ = step.tool_calls;
      plan_open_ = step.type == StepType::planning;
    }
    plan_durable_ = plan_open_;
    Turn::Start start{{"m"}, voice_ ? "" : "question", {}, std::move(steps), std::move(text_shown)};
    if (voice_) start.voice = std::make_shared<const VoiceInput>();
    turn_ = std::make_unique<Turn>(std::move(start), options_, toolbox_);
    take(turn_->begin());
  }

  bool ended() const { return turn_->ended(); }

  /// One random input that may come in this state, now and then one that comes too late.
  void random_input() {
    if (random_.one_in(40)) return feed(CancelAsked{});
    if (random_.one_in(60)) return feed(TimeUp{});
    if (random_.one_in(12)) {
      steered_.push_back("s" + std::to_string(steered_.size()));
      return feed(SteerArrived{{steered_.back()}, "steered"});
    }
    if (random_.one_in(10)) return too_late();
    if (calling_) return model_speaks();
    if (tools_running_) return tools_end();
    if (hearing_ || speaking_) return speech_ends();
    if ((plan_open_ && !plan_durable_) || action_waits_) return step_is_durable();
    FAIL("the turn has not ended and waits for nothing");
  }

  /// The shortest way to the end.
  void finish() {
    for (int i = 0; i < 50 && !ended(); ++i) {
      if (calling_) {
        calling_ = false;
        feed(AnswerArrived{{"the end", {}, {}, "stop"}});
      } else if (tools_running_) {
        tools_end();
      } else if (std::exchange(hearing_, false)) {
        feed(Transcribed{"question", "an ear"});
      } else if (std::exchange(speaking_, false)) {
        feed(Spoken{});
      } else {
        step_is_durable();
      }
    }
    REQUIRE(ended());
  }

  /// What must hold once the turn has ended.
  void check_end() {
    std::map<std::string, int> ends;
    for (const Event& event : terminals_) ++ends[message_of(event).text];
    REQUIRE(ends["m"] == 1);
    std::set<std::string> unheard;
    for (const SteerArrived& steer : turn_->take_unheard()) unheard.insert(steer.message_id.text);
    for (const std::string& id : steered_) {
      // Ended with the run, or given back: never both, never neither.
      REQUIRE(ends[id] + static_cast<int>(unheard.count(id)) == 1);
    }
    REQUIRE(calls_made_ <= options_.steps_max + options_.restarts_max);
    REQUIRE(turn_->step(CancelAsked{}).empty());
    REQUIRE(turn_->step(AnswerArrived{{"late", {}, {}, ""}}).empty());
    check_steps();
    History history(1 << 20);
    history.add({"m"}, turn_->exchange());
    require_well_formed(history.messages());
  }

  /// What each Record made durable, in order.
  const std::vector<std::vector<Event>>& records() const { return records_; }
  /// How the conversation reads when it is folded from the recorded steps, as after a restart.
  std::vector<ChatMessage> folded() const {
    std::vector<ChatMessage> out{{Role::user, voice_ ? "" : "question", {}, ""}};
    for (const StepRecorded& step : steps_) append_step(out, step);
    return out;
  }
  bool was_steered() const { return !steered_.empty(); }
  std::vector<ChatMessage> exchange() const { return turn_->exchange(); }

 private:
  void feed(Input input) {
    const bool was_ended = ended();
    Effects effects = turn_->step(std::move(input));
    if (was_ended) REQUIRE(effects.empty());
    take(std::move(effects));
  }

  void step_is_durable() {
    plan_durable_ = plan_open_;
    action_waits_ = false;
    feed(StepDurable{});
  }

  void too_late() {
    switch (random_.below(6)) {
      case 4:
        if (!hearing_) feed(Transcribed{"late", "late"});
        break;
      case 5:
        if (!speaking_) feed(Spoken{});
        break;
      case 0:
        if (!calling_) feed(TextArrived{"late"});
        break;
      case 1:
        if (!calling_) feed(CallFailed{Errc::unavailable, "late", true});
        break;
      case 2:
        if ((!plan_open_ || plan_durable_) && !action_waits_) feed(StepDurable{});
        break;
      default:
        if (!tools_running_) feed(ToolsEnded{{{"x", "late", "late", false}}});
    }
  }

  void model_speaks() {
    switch (random_.below(6)) {
      case 0:
      case 1:
      case 2:
        return feed(TextArrived{"word "});
      case 3:
        calling_ = false;
        return feed(CallFailed{Errc::unavailable, "cut", random_.one_in(2)});
      case 4: {
        calling_ = false;
        ModelAnswer answer{"thinking", {}, {random_.below(50), random_.below(50)}, "tool_calls"};
        for (std::uint64_t left = 1 + random_.below(3); left > 0; --left) {
          answer.tool_calls.push_back(random_call());
        }
        return feed(AnswerArrived{std::move(answer)});
      }
      default:
        calling_ = false;
        return feed(AnswerArrived{{random_.one_in(5) ? "" : "the answer", {}, {1, 1}, "stop"}});
    }
  }

  void speech_ends() {
    const bool hears = std::exchange(hearing_, false);
    speaking_ = false;
    if (random_.one_in(6)) return feed(SpeechFailed{Errc::unavailable, "no sound"});
    if (!hears) return feed(Spoken{});
    feed(Transcribed{random_.one_in(8) ? "" : "question", "an ear"});
  }

  ToolCall random_call() {
    constexpr std::string_view kNames[] = {"echo", "echo", "send", "teleport"};
    constexpr std::string_view kArguments[] = {R"({"text":"a"})", R"({"text":"b"})", "{}",
                                               "nonsense", R"({"text":1})"};
    return {"c" + std::to_string(++last_call_), std::string(random_.one_of(kNames)),
            std::string(random_.one_of(kArguments))};
  }

  void tools_end() {
    tools_running_ = false;
    ToolsEnded ended;
    for (const ToolCall& call : running_) {
      ended.results.push_back({call.id, call.name, "out", random_.one_in(4)});
    }
    if (random_.one_in(2)) std::reverse(ended.results.begin(), ended.results.end());
    feed(std::move(ended));
  }

  void take(Effects effects) {
    for (Effect& effect : effects) {
      REQUIRE_FALSE(recorded_end_);  // Nothing after the end.
      std::visit([this](auto& e) { take(e); }, effect);
    }
    REQUIRE(recorded_end_ == ended());
    if (!ended())
      REQUIRE(calling_ + tools_running_ + hearing_ + speaking_ + (plan_open_ && !plan_durable_) +
                  action_waits_ ==
              1);
  }
  void take(CallModel& call) {
    REQUIRE_FALSE(calling_);
    REQUIRE_FALSE(tools_running_);
    calling_ = true;
    ++calls_made_;
    shown_.clear();
    require_well_formed(call.request->messages);
  }
  void take(AbandonCall& /*effect*/) {
    REQUIRE(calling_);
    calling_ = false;
  }
  void take(RunTools& run) {
    REQUIRE(plan_open_);
    REQUIRE(plan_durable_);  // The intent before the effect.
    REQUIRE_FALSE(tools_running_);
    REQUIRE_FALSE(run.calls.empty());
    for (const ToolCall& call : run.calls) {
      REQUIRE(toolbox_.check(call).has_value());
      REQUIRE(std::find(planned_.begin(), planned_.end(), call) != planned_.end());
    }
    tools_running_ = true;
    running_ = run.calls;
  }
  void take(Retrieve& /*effect*/) { FAIL("there is no stack"); }
  void take(FindAgent& /*effect*/) { FAIL("there is no agent"); }
  void take(Transcribe& /*effect*/) {
    REQUIRE(voice_);
    REQUIRE(steps_.empty());
    hearing_ = true;
  }
  void take(Speak& speak) {
    REQUIRE(voice_);
    REQUIRE_FALSE(action_waits_);  // The answer before its sound.
    REQUIRE(steps_.back().type == StepType::final_answer);
    REQUIRE(speak.text == steps_.back().text);
    speaking_ = true;
  }
  void take(AbandonSpeech& /*effect*/) {
    REQUIRE(hearing_ + speaking_ == 1);
    hearing_ = speaking_ = false;
  }
  void take(AbandonTools& /*effect*/) {
    REQUIRE(tools_running_);
    tools_running_ = false;
  }
  void take(Show& show) {
    if (auto* delta = std::get_if<TextDelta>(&show.event)) {
      REQUIRE(calling_);
      shown_ += delta->text;
      REQUIRE(turn_->text() == shown_);
    } else {
      REQUIRE(std::holds_alternative<TextReset>(show.event));
      shown_.clear();
    }
  }
  void take(Record& record) {
    REQUIRE_FALSE(record.events.empty());
    records_.push_back(record.events);
    for (Event& event : record.events) {
      if (is_terminal(event)) {
        recorded_end_ = true;
        terminals_.push_back(std::move(event));
        continue;
      }
      REQUIRE_FALSE(recorded_end_);
      auto& step = std::get<StepRecorded>(event);
      REQUIRE(step.message_id.text == "m");
      if (step.type == StepType::planning) {
        REQUIRE(record.step);
        REQUIRE_FALSE(plan_open_);
        planned_ = step.tool_calls;
        plan_open_ = true;
        plan_durable_ = false;
      } else if (step.type == StepType::action) {
        REQUIRE(plan_open_);
        REQUIRE(record.step);
        plan_open_ = false;
        action_waits_ = true;
        require_answers(step);
      } else if (step.type == StepType::transcript ||
                 (voice_ && step.type == StepType::final_answer)) {
        REQUIRE(record.step);
        action_waits_ = true;
      } else if (step.type == StepType::audio) {
        REQUIRE_FALSE(record.step);  // It comes with the end.
      }
      steps_.push_back(std::move(step));
    }
  }

  void require_answers(const StepRecorded& action) {
    std::multiset<std::string> wanted;
    std::multiset<std::string> got;
    for (const ToolCall& call : planned_) wanted.insert(call.id);
    for (const ToolResult& result : action.tool_results) got.insert(result.call_id);
    REQUIRE(got == wanted);
  }

  /// Plans and actions alternate; an answer comes last and once.
  void check_steps() const {
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const bool answer =
          steps_[i].type == StepType::final_answer || steps_[i].type == StepType::partial_answer;
      const bool spoken = i + 2 == steps_.size() && steps_[i + 1].type == StepType::audio;
      if (answer) REQUIRE((i + 1 == steps_.size() || (voice_ && spoken)));
      if (steps_[i].type == StepType::action) {
        REQUIRE(i > 0);
        REQUIRE(steps_[i - 1].type == StepType::planning);
      }
      if (steps_[i].type == StepType::planning && i > 0) {
        REQUIRE(
            (steps_[i - 1].type == StepType::action || steps_[i - 1].type == StepType::transcript));
      }
    }
  }

  test::Seeded& random_;
  const Options& options_;
  const Toolbox& toolbox_;
  const bool voice_;
  std::unique_ptr<Turn> turn_;
  bool calling_ = false;
  bool tools_running_ = false;
  bool hearing_ = false;
  bool speaking_ = false;
  bool plan_open_ = false;  // A plan whose action is not recorded.
  bool plan_durable_ = false;
  bool action_waits_ =
      false;  ///< Or another step; recorded, not yet durable: the model is not called.
  bool recorded_end_ = false;
  int calls_made_ = 0;
  int last_call_ = 0;
  std::string shown_;
  std::vector<ToolCall> planned_;
  std::vector<ToolCall> running_;
  std::vector<std::string> steered_;
  std::vector<StepRecorded> steps_;
  std::vector<Event> terminals_;
  std::vector<std::vector<Event>> records_;
};

/// Small limits, so that runs reach them.
Options random_options(test::Seeded& random) {
  Options options;
  options.steps_max = 1 + static_cast<int>(random.below(5));
  options.restarts_max = static_cast<int>(random.below(3));
  options.tokens_max = 1 + random.below(400);
  return options;
}

TEST_CASE("a turn keeps its promises whatever happens around it") {
  test::Seeded random("a turn keeps its promises");
  const Toolbox toolbox = test::echo_toolbox();
  for (int run = 0; run < 1'500; ++run) {
    INFO("seed " << random.seed() << " run " << run);
    const Options options = random_options(random);
    World world(random, options, toolbox, random.one_in(2));
    world.begin({}, random.one_in(4) ? "shown before" : "");
    for (int i = 0; i < 500 && !world.ended(); ++i) world.random_input();
    world.finish();
    world.check_end();
    if (!world.was_steered()) {
      const auto live = world.exchange();
      const auto folded = world.folded();
      REQUIRE(live.size() == folded.size());
      for (std::size_t i = 0; i < live.size(); ++i) REQUIRE(live[i].text == folded[i].text);
    }
  }
}

TEST_CASE("a restart from any prefix of a run's records ends it once and repeats no step") {
  test::Seeded random("a restart from any prefix");
  const Toolbox toolbox = test::echo_toolbox();
  for (int run = 0; run < 400; ++run) {
    INFO("seed " << random.seed() << " run " << run);
    const Options options = random_options(random);
    const bool voice = random.one_in(2);
    World first(random, options, toolbox, voice);
    first.begin({}, "");
    for (int i = 0; i < 500 && !first.ended(); ++i) first.random_input();
    first.finish();

    // A group is on disk whole or not at all, so a crash leaves whole records; the last one has
    // the end and leaves nothing to go on with.
    for (std::size_t kept = 0; kept < first.records().size(); ++kept) {
      std::vector<StepRecorded> steps;
      for (std::size_t i = 0; i < kept; ++i) {
        for (const Event& event : first.records()[i]) {
          steps.push_back(std::get<StepRecorded>(event));
        }
      }
      World second(random, options, toolbox, voice);
      second.begin(steps, random.one_in(2) ? "shown" : "");
      for (int i = 0; i < 500 && !second.ended() && random.one_in(2); ++i) second.random_input();
      second.finish();
      second.check_end();  // Its steps are those of before the crash and then its own.
    }
  }
}

}  // namespace
}  // namespace parlance::agent
