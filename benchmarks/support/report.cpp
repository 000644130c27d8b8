#include "benchmarks/support/report.h"

#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include <fmt/format.h>

namespace parlance::benchmarks {
namespace {

constexpr std::array<std::pair<const char*, double>, 5> kPercentiles{
    {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}}};

double to_us(int64_t ns) {
  return static_cast<double>(ns) / 1e3;
}

std::string latency_json(const Histogram& histogram) {
  std::string out =
      fmt::format(R"({{"count":{},"min":{:.3f},"mean":{:.3f},"max":{:.3f})", histogram.count(),
                  to_us(histogram.min()), histogram.mean() / 1e3, to_us(histogram.max()));
  for (const auto& [name, percent] : kPercentiles) {
    fmt::format_to(std::back_inserter(out), R"(,"{}":{:.3f})", name,
                   to_us(histogram.percentile(percent)));
  }
  out += R"(,"spectrum":[)";
  bool first = true;
  histogram.for_each_bucket([&](int64_t value, uint64_t count) {
    fmt::format_to(std::back_inserter(out), "{}[{:.3f},{}]", first ? "" : ",", to_us(value), count);
    first = false;
  });
  return out + "]}";
}

}  // namespace

void Report::publish(const std::string& json_path) const {
  print();
  if (json_path.empty()) return;
  std::ofstream file(json_path);
  file << json() << '\n';
  if (!file.flush()) throw std::runtime_error("cannot write " + json_path);
}

void Report::print() const {
  for (const auto& [name, value] : numbers_) fmt::print("{:<38} {:>14.10g}\n", name, value);
  bool titled = false;
  for (const auto& [name, histogram] : latencies_) {
    if (histogram.count() == 0) continue;
    if (!titled) {
      fmt::print("{:<28} {:>9}", "microseconds", "count");
      for (const auto& [title, percent] : kPercentiles) fmt::print(" {:>10}", title);
      fmt::print(" {:>10}\n", "max");
      titled = true;
    }
    fmt::print("{:<28} {:>9}", name, histogram.count());
    for (const auto& [title, percent] : kPercentiles) {
      fmt::print(" {:>10.1f}", to_us(histogram.percentile(percent)));
    }
    fmt::print(" {:>10.1f}\n", to_us(histogram.max()));
  }
  for (const auto& why : invalid_) fmt::print("INVALID: {}\n", why);
  std::fflush(stdout);
}

std::string Report::json() const {
  std::string out = fmt::format(R"({{"mode":"{}","valid":{},"invalid":[)", mode_, is_valid());
  for (size_t i = 0; i < invalid_.size(); ++i) {
    fmt::format_to(std::back_inserter(out), R"({}"{}")", i == 0 ? "" : ",", invalid_[i]);
  }
  out += R"(],"numbers":{)";
  for (size_t i = 0; i < numbers_.size(); ++i) {
    fmt::format_to(std::back_inserter(out), R"({}"{}":{:.10g})", i == 0 ? "" : ",",
                   numbers_[i].first, numbers_[i].second);
  }
  out += R"(},"latencies_us":{)";
  for (size_t i = 0; i < latencies_.size(); ++i) {
    fmt::format_to(std::back_inserter(out), R"({}"{}":{})", i == 0 ? "" : ",", latencies_[i].first,
                   latency_json(latencies_[i].second));
  }
  return out + "}}";
}

}  // namespace parlance::benchmarks
