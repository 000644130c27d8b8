// parlance-extract: reads documents for the server, confined. Started by extract/extractor.cpp,
// with one socket as standard input and output; see extract/frame.h for what goes over it. Usage:
// parlance-extract MEMORY_BYTES CPU_SECONDS TEXT_BYTES FILE_BYTES

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <new>
#include <string>
#include <string_view>

#include <sys/resource.h>
#include <unistd.h>

#include "confined/confinement.h"
#include "confined/descriptor_io.h"
#include "extract/document_reader.h"
#include "extract/frame.h"

namespace {

using namespace parlance;
using namespace parlance::extract;
using confined::read_all;
using confined::TypeDetector;
using confined::write_all;

constexpr int kBadUsage = 2;
constexpr int kNotConfined = 3;
constexpr int kBadRequest = 4;

// ICU counts in 32 bits, with room for what a conversion adds.
constexpr std::uint64_t kTextBytesCap = std::uint64_t{256} << 20;

struct Arguments {
  std::uint64_t memory_bytes = 0;
  std::uint64_t cpu_seconds = 0;
  std::uint64_t text_bytes = 0;
  std::uint64_t file_bytes = 0;
};

bool read_arguments(int argc, char** argv, Arguments& arguments) {
  std::uint64_t* const places[] = {&arguments.memory_bytes, &arguments.cpu_seconds,
                                   &arguments.text_bytes, &arguments.file_bytes};
  if (argc != 5) return false;
  for (int i = 0; i < 4; ++i) {
    const std::string_view text = argv[i + 1];
    const auto read = std::from_chars(text.data(), text.data() + text.size(), *places[i]);
    if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) return false;
  }
  return true;
}

std::chrono::seconds cpu_used() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
}

/// Reads a file of `size` bytes and its text. Out of memory is the file's fault.
Document serve(const TypeDetector& detector, std::uint64_t size, const Limits& limits,
               bool& heard) {
  heard = false;
  std::string bytes(size, '\0');
  heard = read_all(STDIN_FILENO, bytes.data(), bytes.size());
  if (!heard) return {};
  try {
    return read_document(detector, bytes, limits);
  } catch (const std::bad_alloc&) {
    return {Outcome::too_large, {}, {}};
  }
}

int run(const TypeDetector& detector, const Arguments& arguments) {
  Limits limits;
  limits.text_bytes_max = std::min<std::uint64_t>(arguments.text_bytes, kTextBytesCap);
  const std::chrono::seconds leave_after(arguments.cpu_seconds / 2);
  RequestHead request;
  while (read_all(STDIN_FILENO, &request, sizeof request)) {
    if (request.bytes > arguments.file_bytes) return kBadRequest;
    bool heard = false;
    const Document document = serve(detector, request.bytes, limits, heard);
    if (!heard) return kBadRequest;
    AnswerHead answer;
    answer.outcome = document.outcome;
    answer.type_bytes = static_cast<std::uint32_t>(document.type.size());
    answer.text_bytes = document.text.size();
    answer.leaving = cpu_used() >= leave_after ? 1 : 0;
    if (!write_all(STDOUT_FILENO, &answer, sizeof answer) ||
        !write_all(STDOUT_FILENO, document.type.data(), document.type.size()) ||
        !write_all(STDOUT_FILENO, document.text.data(), document.text.size()) ||
        answer.leaving != 0) {
      return 0;
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!read_arguments(argc, argv, arguments)) {
    std::fputs("usage: parlance-extract MEMORY_BYTES CPU_SECONDS TEXT_BYTES FILE_BYTES\n", stderr);
    return kBadUsage;
  }
  auto detector = TypeDetector::load();
  if (!detector) {
    std::fprintf(stderr, "parlance-extract: %s\n", detector.error().detail.c_str());
    return kNotConfined;
  }
  Status ready = prepare_libraries();
  if (ready)
    ready =
        confined::confine({arguments.memory_bytes, std::chrono::seconds(arguments.cpu_seconds)});
  if (!ready) {
    std::fprintf(stderr, "parlance-extract: %s\n", ready.error().detail.c_str());
    return kNotConfined;
  }
  if (!write_all(STDOUT_FILENO, kReady.data(), kReady.size())) return 0;
  // Not `return`: what libraries do at the end of a process is not worth allowing.
  _exit(run(*detector, arguments));
}
