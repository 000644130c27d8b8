#include "config/yaml_reader.h"

#include <charconv>
#include <map>
#include <utility>

#include <fmt/format.h>

namespace parlance::config {
namespace {

int line_of(const YAML::Node& node) {
  if (!node.IsDefined()) return 0;
  const YAML::Mark mark = node.Mark();
  return mark.is_null() ? 0 : mark.line + 1;
}

/// Splits "30s" into 30 and "s". False when there is no number in front.
bool split_number(std::string_view text, std::uint64_t& number, std::string_view& unit) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc{}) return false;
  unit = text.substr(static_cast<std::size_t>(parsed.ptr - text.data()));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  return true;
}

template <std::size_t N>
bool scale(std::uint64_t& number, std::string_view unit,
           const std::pair<std::string_view, std::uint64_t> (&units)[N]) {
  for (const auto& [name, factor] : units) {
    if (name != unit) continue;
    if (number > UINT64_MAX / factor) return false;
    number *= factor;
    return true;
  }
  return false;
}

std::string in_words(std::chrono::milliseconds duration) {
  const auto ms = duration.count();
  if (ms % 1000 != 0 || ms == 0) return fmt::format("{}ms", ms);
  return fmt::format("{}s", ms / 1000);
}

}  // namespace

Section::Section(const YAML::Node& node, std::string path, std::vector<Problem>& problems)
    : node_(node), path_(std::move(path)), problems_(problems) {
  if (node_.IsDefined() && !node_.IsNull() && !node_.IsMap()) {
    problems_.push_back({line_of(node_), fmt::format("{} must be a mapping of keys to values",
                                                     path_.empty() ? "the file" : path_)});
    node_ = YAML::Node();
  }
}

YAML::Node Section::take(const char* key) {
  taken_.insert(key);
  return find(key);
}

YAML::Node Section::find(const char* key) const {
  if (!node_.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
  // Through a constant reference: a plain operator[] would add the key.
  return std::as_const(node_)[key];
}

void Section::problem_at(const YAML::Node& node, const char* key, const std::string& text) {
  problems_.push_back(
      {line_of(node), fmt::format("{}{}{} {}", path_, path_.empty() ? "" : ".", key, text)});
}

void Section::problem(const char* key, const std::string& text) {
  problem_at(find(key), key, text);
}

void Section::problem(const char* key, std::size_t index, const std::string& text) {
  const YAML::Node node = find(key);
  const bool in_list = node.IsDefined() && node.IsSequence() && index < node.size();
  problem_at(in_list ? node[index] : node, key, text);
}

bool Section::has(const char* key) const {
  return find(key).IsDefined();
}

int Section::line() const {
  return line_of(node_);
}

void Section::read(const char* key, std::string& out) {
  const YAML::Node node = take(key);
  if (!node.IsDefined()) return;
  if (!node.IsScalar()) {
    problem_at(node, key, "must be a text");
    return;
  }
  out = node.Scalar();
}

void Section::read(const char* key, bool& out) {
  const YAML::Node node = take(key);
  if (!node.IsDefined()) return;
  if (!node.IsScalar() || !YAML::convert<bool>::decode(node, out)) {
    problem_at(node, key, "must be true or false");
  }
}

void Section::read(const char* key, int& out, int min, int max) {
  auto wide = static_cast<std::uint64_t>(out);
  read(key, wide, static_cast<std::uint64_t>(min), static_cast<std::uint64_t>(max));
  out = static_cast<int>(wide);
}

void Section::read(const char* key, std::uint64_t& out, std::uint64_t min, std::uint64_t max) {
  const YAML::Node node = take(key);
  if (!node.IsDefined()) return;
  std::uint64_t value = 0;
  std::string_view rest;
  if (!node.IsScalar() || !split_number(node.Scalar(), value, rest) || !rest.empty() ||
      value < min || value > max) {
    problem_at(node, key, fmt::format("must be a whole number from {} to {}", min, max));
    return;
  }
  out = value;
}

void Section::read_bytes(const char* key, std::size_t& out, std::size_t min, std::size_t max) {
  const YAML::Node node = take(key);
  if (!node.IsDefined()) return;
  std::uint64_t value = 0;
  std::string_view unit;
  constexpr std::pair<std::string_view, std::uint64_t> kUnits[] = {
      {"", 1}, {"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}};
  if (!node.IsScalar() || !split_number(node.Scalar(), value, unit) ||
      !scale(value, unit, kUnits) || value < min || value > max) {
    problem_at(node, key,
               fmt::format("must be a size from {} to {} bytes, such as 64KiB or 1MiB", min, max));
    return;
  }
  out = value;
}

void Section::read(const char* key, std::chrono::milliseconds& out, std::chrono::milliseconds min,
                   std::chrono::milliseconds max) {
  const YAML::Node node = take(key);
  if (!node.IsDefined()) return;
  std::uint64_t value = 0;
  std::string_view unit;
  constexpr std::pair<std::string_view, std::uint64_t> kUnits[] = {
      {"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}};
  if (!node.IsScalar() || !split_number(node.Scalar(), value, unit) ||
      !scale(value, unit, kUnits) || value < static_cast<std::uint64_t>(min.count()) ||
      value > static_cast<std::uint64_t>(max.count())) {
    problem_at(node, key,
               fmt::format("must be a duration from {} to {}, such as 250ms, 30s or 5m",
                           in_words(min), in_words(max)));
    return;
  }
  out = std::chrono::milliseconds(value);
}

void Section::read(const char* key, std::vector<std::string>& out) {
  const YAML::Node node = take(key);
  if (!node.IsDefined()) return;
  std::vector<std::string> values;
  bool good = node.IsScalar() || node.IsSequence();
  if (node.IsScalar()) {
    values.push_back(node.Scalar());
  } else if (node.IsSequence()) {
    for (const YAML::Node& item : node) {
      if (item.IsScalar()) {
        values.push_back(item.Scalar());
      } else {
        good = false;
      }
    }
  }
  if (!good) {
    problem_at(node, key, "must be a text or a list of texts");
    return;
  }
  out = std::move(values);
}

Section Section::section(const char* key) {
  const YAML::Node node = take(key);
  return {node.IsDefined() ? node : YAML::Node(), path_.empty() ? key : path_ + "." + key,
          problems_};
}

std::vector<Section> Section::sections(const char* key) {
  const YAML::Node node = take(key);
  std::vector<Section> out;
  if (!node.IsDefined() || node.IsNull()) return out;
  if (!node.IsSequence()) {
    problem_at(node, key, "must be a list");
    return out;
  }
  for (std::size_t i = 0; i < node.size(); ++i) {
    out.emplace_back(node[i], fmt::format("{}{}{}[{}]", path_, path_.empty() ? "" : ".", key, i),
                     problems_);
  }
  return out;
}

void Section::finish() {
  if (!node_.IsMap()) return;
  std::map<std::string, int> lines;
  for (const auto& entry : node_) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "?";
    // The library keeps them all and finds one of them.
    const auto [first, is_new] = lines.emplace(key, line_of(entry.first));
    if (!is_new && entry.first.IsScalar()) {
      problem_at(entry.first, key.c_str(),
                 fmt::format("is given twice, first in line {}; keep one", first->second));
      continue;
    }
    if (taken_.contains(key)) continue;
    std::string known;
    for (const std::string& name : taken_) known += (known.empty() ? "" : ", ") + name;
    problem_at(entry.first, key.c_str(), fmt::format("is not a known key; known are: {}", known));
  }
}

}  // namespace parlance::config
