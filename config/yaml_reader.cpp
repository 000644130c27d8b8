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

/// NAME where `text` begins with "${NAME}"; else empty.
std::string variable_name(std::string_view text) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
  const std::size_t end = text.find_first_not_of(kLetters, 2);
  if (end == std::string_view::npos || text[end] != '}') return {};
  return std::string(text.substr(2, end - 2));
}

std::string in_words(std::chrono::milliseconds duration) {
  const auto ms = duration.count();
  if (ms % 1000 != 0 || ms == 0) return fmt::format("{}ms", ms);
  return fmt::format("{}s", ms / 1000);
}

}  // namespace

std::optional<YAML::Node> parse_yaml(std::string_view text, std::vector<Problem>& problems) {
  try {
    return YAML::Load(std::string(text));
  } catch (const YAML::Exception& e) {
    problems.push_back({e.mark.is_null() ? 0 : e.mark.line + 1, "not valid YAML: " + e.msg});
    return std::nullopt;
  }
}

Section::Section(const YAML::Node& node, std::string path, std::vector<Problem>& problems)
    : node_(node), path_(std::move(path)), problems_(problems) {
  if (node_.IsDefined() && !node_.IsNull() && !node_.IsMap()) {
    problems_.push_back({line_of(node_), fmt::format("{} must be a mapping of keys to values",
                                                     path_.empty() ? "the file" : path_)});
    node_ = YAML::Node();
    broken_ = true;
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
  problems_.push_back({line_of(node), fmt::format("{} {}", path(key), text)});
}

void Section::missing(const char* key, const std::string& text) {
  if (broken_) return;
  const YAML::Node node = find(key);
  problem_at(node.IsDefined() ? node : node_, key, text);
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

bool Section::is_empty(const char* key) const {
  const YAML::Node node = find(key);
  return !node.IsDefined() || node.IsNull() || (!node.IsScalar() && node.size() == 0);
}

int Section::line(const char* key) const {
  const YAML::Node node = find(key);
  return line_of(node.IsDefined() ? node : node_);
}

std::string Section::path(const char* key) const {
  return fmt::format("{}{}{}", path_, path_.empty() ? "" : ".", key);
}

void Section::expand(const Environment& environment) {
  variables_ = &environment;
}

std::optional<std::string> Section::scalar(const YAML::Node& node, const char* key,
                                           const std::string& wrong) {
  if (node.IsScalar()) return expanded(node, key);
  problem_at(node, key, wrong);
  return std::nullopt;
}

std::optional<std::string> Section::expanded(const YAML::Node& node, const char* key) {
  if (variables_ == nullptr) return node.Scalar();
  const std::string_view text = node.Scalar();
  std::string out;
  std::size_t copied = 0;
  for (std::size_t at = 0; (at = text.find("${", at)) != std::string_view::npos; at += 2) {
    const std::string name = variable_name(text.substr(at));
    if (name.empty()) continue;
    const std::string value = (*variables_)(name.c_str());
    if (value.empty()) {
      problem_at(node, key, fmt::format("names {}, which is not set", name));
      return std::nullopt;
    }
    out.append(text.substr(copied, at - copied)).append(value);
    copied = at + name.size() + 3;
  }
  out.append(text.substr(copied));
  return out;
}

void Section::read(const char* key, std::string& out) {
  const YAML::Node node = take(key);
  if (!node.IsDefined()) return;
  if (auto text = scalar(node, key, "must be a text")) out = std::move(*text);
}

void Section::read(const char* key, bool& out) {
  const YAML::Node node = take(key);
  if (!node.IsDefined()) return;
  const std::string wrong = "must be true or false";
  const auto text = scalar(node, key, wrong);
  if (text && !YAML::convert<bool>::decode(YAML::Node(*text), out)) problem_at(node, key, wrong);
}

void Section::read(const char* key, int& out, int min, int max) {
  auto wide = static_cast<std::uint64_t>(out);
  read(key, wide, static_cast<std::uint64_t>(min), static_cast<std::uint64_t>(max));
  out = static_cast<int>(wide);
}

void Section::read(const char* key, std::uint64_t& out, std::uint64_t min, std::uint64_t max) {
  const YAML::Node node = take(key);
  if (!node.IsDefined()) return;
  const std::string wrong = fmt::format("must be a whole number from {} to {}", min, max);
  const auto text = scalar(node, key, wrong);
  if (!text) return;
  std::uint64_t value = 0;
  std::string_view rest;
  if (!split_number(*text, value, rest) || !rest.empty() || value < min || value > max) {
    problem_at(node, key, wrong);
    return;
  }
  out = value;
}

void Section::read(const char* key, double& out, double min, double max) {
  const YAML::Node node = take(key);
  if (!node.IsDefined()) return;
  const std::string wrong = fmt::format("must be a number from {} to {}", min, max);
  const auto text = scalar(node, key, wrong);
  if (!text) return;
  double value = 0;
  const auto parsed =
      std::from_chars(text->data(), text->data() + text->size(), value, std::chars_format::fixed);
  // Not what is no number at all, either.
  if (parsed.ec != std::errc{} || parsed.ptr != text->data() + text->size() ||
      !(value >= min && value <= max)) {
    problem_at(node, key, wrong);
    return;
  }
  out = value;
}

void Section::read_bytes(const char* key, std::size_t& out, std::size_t min, std::size_t max) {
  const YAML::Node node = take(key);
  if (!node.IsDefined()) return;
  const std::string wrong =
      fmt::format("must be a size from {} to {} bytes, such as 64KiB or 1MiB", min, max);
  const auto text = scalar(node, key, wrong);
  if (!text) return;
  std::uint64_t value = 0;
  std::string_view unit;
  constexpr std::pair<std::string_view, std::uint64_t> kUnits[] = {
      {"", 1}, {"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}};
  if (!split_number(*text, value, unit) || !scale(value, unit, kUnits) || value < min ||
      value > max) {
    problem_at(node, key, wrong);
    return;
  }
  out = value;
}

void Section::read(const char* key, std::chrono::milliseconds& out, std::chrono::milliseconds min,
                   std::chrono::milliseconds max) {
  const YAML::Node node = take(key);
  if (!node.IsDefined()) return;
  const std::string wrong = fmt::format(
      "must be a duration from {} to {}, such as 250ms, 30s or 5m", in_words(min), in_words(max));
  const auto text = scalar(node, key, wrong);
  if (!text) return;
  std::uint64_t value = 0;
  std::string_view unit;
  constexpr std::pair<std::string_view, std::uint64_t> kUnits[] = {
      {"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}};
  if (!split_number(*text, value, unit) || !scale(value, unit, kUnits) ||
      value < static_cast<std::uint64_t>(min.count()) ||
      value > static_cast<std::uint64_t>(max.count())) {
    problem_at(node, key, wrong);
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
  Section out(node.IsDefined() ? node : YAML::Node(), path(key), problems_);
  out.variables_ = variables_;
  return out;
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
    out.emplace_back(node[i], fmt::format("{}[{}]", path(key), i), problems_);
    out.back().variables_ = variables_;
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
