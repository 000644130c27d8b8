// Reads one mapping of the configuration file into options, collecting every problem with its line.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "config/settings.h"

namespace parlance::config {

/// The document of `text`; nothing after a problem was told.
std::optional<YAML::Node> parse_yaml(std::string_view text, std::vector<Problem>& problems);

/// A mapping. Each `read` takes one key; `finish` reports the keys that nobody took or that are
/// given twice. An absent key leaves the default. Durations are numbers with a unit: "250ms",
/// "30s", "5m", "1h". Sizes are numbers with an optional unit: "512", "64KiB", "1MiB", "2GiB".
class Section {
 public:
  Section(const YAML::Node& node, std::string path, std::vector<Problem>& problems);

  /// From now on "${NAME}" in any scalar of this section, and of those taken from it, stands for a
  /// variable of `environment`, which outlives them. One that is not set is a problem.
  void expand(const Environment& environment);

  void read(const char* key, std::string& out);
  void read(const char* key, bool& out);
  void read(const char* key, int& out, int min, int max);
  void read(const char* key, std::uint64_t& out, std::uint64_t min, std::uint64_t max);
  /// Decimals with a point, as in 0.15.
  void read(const char* key, double& out, double min, double max);
  void read_bytes(const char* key, std::size_t& out, std::size_t min, std::size_t max);
  void read(const char* key, std::chrono::milliseconds& out, std::chrono::milliseconds min,
            std::chrono::milliseconds max);
  void read(const char* key, std::vector<std::string>& out);
  Section section(const char* key);
  std::vector<Section> sections(const char* key);
  bool has(const char* key) const;
  /// Whether there is nothing at `key`: no key, no value, or a list or mapping without entries.
  bool is_empty(const char* key) const;
  /// The line of `key`, else that of the section.
  int line(const char* key) const;
  std::string path(const char* key) const;
  /// Of all that share the list that problems are told to.
  std::size_t problem_count() const { return problems_.size(); }
  void problem(const char* key, const std::string& text);
  /// One about the entry `index` of the list at `key`, or about the text that stands in its place.
  void problem(const char* key, std::size_t index, const std::string& text);
  /// One about a key that should be there; with the section's line when it is not.
  /// Nothing where the section is no mapping, which was told already.
  void missing(const char* key, const std::string& text);
  /// Reports keys that are unknown or given twice.
  void finish();

 private:
  YAML::Node take(const char* key);
  YAML::Node find(const char* key) const;
  void problem_at(const YAML::Node& node, const char* key, const std::string& text);
  /// The text of a scalar, expanded; nothing for what is none (then `wrong` is the problem told) or
  /// for a variable that is not set.
  std::optional<std::string> scalar(const YAML::Node& node, const char* key,
                                    const std::string& wrong);
  std::optional<std::string> expanded(const YAML::Node& node, const char* key);

  YAML::Node node_;
  std::string path_;
  std::vector<Problem>& problems_;
  const Environment* variables_ = nullptr;
  bool broken_ = false;  ///< It is no mapping, which was told.
  std::set<std::string> taken_;
};

}  // namespace parlance::config
