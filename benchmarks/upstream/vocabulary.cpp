#include "benchmarks/upstream/vocabulary.h"

#include <array>
#include <random>

namespace parlance::benchmarks {
namespace {

constexpr size_t kRingWords = 4'096;

constexpr std::array kWords = {
    "the",    "a",       "session", "answer", "of",        "and",     "to",      "model",
    "each",   "token",   "arrives", "in",     "order",     "while",   "another", "message",
    "waits",  "for",     "its",     "turn",   "we",        "read",    "write",   "and,",
    "then",   "record",  "what",    "was",    "said.",     "small",   "parts",   "make",
    "large",  "streams", "calm",    "water",  "river",     "morning", "light",   "north",
    "garden", "stone",   "bridge",  "seven",  "forty-two", "it's",    "done;",   "next",
    "مرحبا",  "بك",      "في",      "هذا",    "النهر",     "الجواب",  "يصل",     "كلمة",
    "بعد",    "كلمة،",   "والسؤال", "ينتظر",  "دوره",      "شكرًا",    "صباح",    "الخير."};

}  // namespace

uint64_t mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15ull;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ull;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBull;
  return value ^ (value >> 31);
}

uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  return hash;
}

Vocabulary::Vocabulary(uint64_t seed) : seed_(seed) {
  std::mt19937_64 random(seed);
  words_.reserve(kRingWords);
  for (size_t i = 0; i < kRingWords; ++i) {
    words_.push_back(std::string(" ") + kWords[random() % kWords.size()]);
  }
}

uint64_t Vocabulary::start_of(std::string_view question) const {
  return mix(seed_ ^ hash_of(question)) % kRingWords;
}

}  // namespace parlance::benchmarks
