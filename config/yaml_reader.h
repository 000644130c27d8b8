// Reads one mapping of the configuration file into options, collecting every problem with its line.
#pragma once

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "config/settings.h"

namespace parlance::config {

/// A mapping. Each `read` takes one key; `finish` reports the keys that nobody took or that are
/// given twice. An absent key leaves the default. Durations are numbers with a unit: "250ms",
/// "30s", "5m", "1h". Sizes are numbers with an optional unit: "512", "64KiB", "1MiB", "2GiB".
class Section {
 public:
  Section(const YAML::Node& node, std::string path, std::vector<Problem>& problems);

  void read(const char* key, std::string& out);
  void read(const char* key, bool& out);
  void read(const char* key, int& out, int min, int max);
  void read(const char* key, std::uint64_t& out, std::uint64_t min, std::uint64_t max);
  void read_bytes(const char* key, std::size_t& out, std::size_t min, std::size_t max);
  void read(const char* key, std::chrono::milliseconds& out, std::chrono::milliseconds min,
            std::chrono::milliseconds max);
  void read(const char* key, std::vector<std::string>& out);
  Section section(const char* key);
  std::vector<Section> sections(const char* key);
  bool has(const char* key) const;
  int line() const;
  void problem(const char* key, const std::string& text);
  /// One about the entry `index` of the list at `key`, or about the text that stands in its place.
  void problem(const char* key, std::size_t index, const std::string& text);
  /// Reports keys that are unknown or given twice.
  void finish();

 private:
  YAML::Node take(const char* key);
  YAML::Node find(const char* key) const;
  void problem_at(const YAML::Node& node, const char* key, const std::string& text);

  YAML::Node node_;
  std::string path_;
  std::vector<Problem>& problems_;
  std::set<std::string> taken_;
};

}  // namespace parlance::config
