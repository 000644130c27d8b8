// What an upstream may send as chunks: any bytes are read without harm, text stays valid UTF-8, and
// the short cut for chunks that look alike changes nothing.
// Input: chunks, one to a line; the same bytes are also taken as one error body.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/json.h"
#include "llm/openai_wire.h"

namespace {

using parlance::ModelAnswer;
using parlance::ToolCall;
using parlance::llm::AnswerAssembler;
using parlance::llm::ChunkReader;
namespace json = parlance::json;

constexpr std::size_t kAnswerBytesMax = 4096;

void check_answer(const ModelAnswer& answer) {
  CHECK(answer.text.size() <= kAnswerBytesMax + 16);
  CHECK(json::valid_utf8(answer.text));
  CHECK(json::valid_utf8(answer.finish_reason));
  for (const ToolCall& call : answer.tool_calls) {
    CHECK(!call.name.empty());
    CHECK(!call.id.empty());
    CHECK(json::valid_utf8(call.name));
    CHECK(json::valid_utf8(call.id));
    CHECK(json::valid_utf8(call.arguments));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);

  const std::string sentence = parlance::llm::error_sentence(bytes, "secret");
  CHECK(sentence.size() <= 200);
  CHECK(json::valid_utf8(sentence));

  ChunkReader reader;
  AnswerAssembler fast(reader, kAnswerBytesMax);
  AnswerAssembler slow(reader, kAnswerBytesMax, false);
  std::string deltas;
  for (std::string_view rest = bytes; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    // A copy that ends with the chunk: reading behind it is then found.
    const std::unique_ptr<char[]> chunk(new char[line.size()]);
    line.copy(chunk.get(), line.size());
    const auto outcome = fast.add({chunk.get(), line.size()});
    CHECK(slow.add({chunk.get(), line.size()}) == outcome);
    if (outcome == AnswerAssembler::Outcome::error_object) is_transient(fast.error());
    if (outcome != AnswerAssembler::Outcome::taken) return 0;
    CHECK(fast.delta() == slow.delta());
    CHECK(fast.begun() == slow.begun());
    CHECK(fast.ended() == slow.ended());
    CHECK(json::valid_utf8(fast.delta()));
    deltas += fast.delta();
  }
  deltas += fast.flush();
  slow.flush();
  const ModelAnswer answer = fast.take();
  const ModelAnswer same = slow.take();
  CHECK(answer.text == deltas);
  CHECK(answer.text == same.text);
  CHECK(answer.tool_calls == same.tool_calls);
  CHECK(answer.usage == same.usage);
  CHECK(answer.finish_reason == same.finish_reason);
  check_answer(answer);
  return 0;
}
