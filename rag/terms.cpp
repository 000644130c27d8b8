#include "rag/terms.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/utf8.h>
#include <xapian.h>

#include "base/check.h"
#include "base/stop_words.h"

namespace parlance::rag {
namespace {

bool is_arabic(UChar32 c) {
  return (c >= 0x0600 && c <= 0x06ff) || (c >= 0x0750 && c <= 0x077f);
}

/// Vowel marks and the stretching line, which are written or left out at will.
bool is_arabic_mark(UChar32 c) {
  return (c >= 0x064b && c <= 0x065f) || c == 0x0640 || c == 0x0670;
}

/// One for all forms of a letter or digit that people use for one another. The stemmer does the
/// same for the end of a word, where it tells more.
UChar32 folded(UChar32 c) {
  if (c == 0x0622 || c == 0x0623 || c == 0x0625 || c == 0x0671) return 0x0627;  // Alef.
  if (c >= 0x0660 && c <= 0x0669) return '0' + (c - 0x0660);
  if (c >= 0x06f0 && c <= 0x06f9) return '0' + (c - 0x06f0);
  return c;
}

std::string fold_arabic(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    UChar32 c = 0;
    U8_NEXT(bytes, at, text.size(), c);
    const UChar32 same = folded(c);
    if (same == c) {
      if (!is_arabic_mark(c)) out.append(text, begin, at - begin);
      continue;
    }
    char encoded[U8_MAX_LENGTH];
    std::size_t length = 0;
    U8_APPEND_UNSAFE(encoded, length, same);
    out.append(encoded, length);
  }
  return out;
}

/// `text` in one spelling; see the header.
std::string normalized(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* const normalizer = icu::Normalizer2::getNFKCCasefoldInstance(status);
  CHECK(U_SUCCESS(status));  // The tables are part of ICU's library.
  std::string out;
  icu::StringByteSink<std::string> sink(&out, static_cast<std::int32_t>(text.size()));
  normalizer->normalizeUTF8(0,
                            icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())),
                            sink, nullptr, status);
  CHECK(U_SUCCESS(status));  // It fails only without memory.
  return fold_arabic(out);
}

/// `word` without the Arabic article and what is written before it ("and", "so", "with", "for").
std::string_view without_article(std::string_view word) {
  constexpr std::size_t kRootBytesMin = 6;  // Three letters.
  for (const std::string_view prefix : {"وال", "فال", "بال", "كال", "ولل", "لل", "ال"}) {
    if (word.starts_with(prefix) && word.size() >= prefix.size() + kRootBytesMin) {
      return word.substr(prefix.size());
    }
  }
  return word;
}

/// The stemmer of the script that a word begins with.
class StemmerByScript final : public Xapian::StemImplementation {
 public:
  std::string operator()(const std::string& word) override {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(word.data());
    UChar32 first = 0;
    std::size_t at = 0;
    U8_NEXT(bytes, at, word.size(), first);
    std::string stem;
    if (is_arabic(first)) {
      stem = stem_arabic(word);
    } else if (first >= 'a' && first < 0x0250) {  // Latin letters with and without accents.
      stem = english_(word);
    }
    // Others stay as they are; and nothing is no term, which Xapian refuses by an exception.
    return stem.empty() ? word : stem;
  }
  std::string get_description() const override { return "English or Arabic by script"; }

 private:
  /// Every word is stemmed as if it had the article. On its own the stemmer takes an ending off or
  /// not by whether there is one, and gives a word with it and without it different stems.
  std::string stem_arabic(const std::string& word) const {
    constexpr std::string_view kArticle = "ال";
    std::string stem = arabic_(std::string(kArticle).append(without_article(word)));
    if (stem.size() <= kArticle.size() || !stem.starts_with(kArticle)) return stem;
    return stem.substr(kArticle.size());
  }

  Xapian::Stem english_{"english"};
  Xapian::Stem arabic_{"arabic"};
};

class StopWords final : public Xapian::Stopper {
 public:
  bool operator()(const std::string& word) const override { return is_stop_word(word); }
};

Xapian::Document make_document(std::string_view text) {
  Xapian::TermGenerator generator;
  const StopWords stop_words;
  generator.set_stemmer(Xapian::Stem(new StemmerByScript));
  generator.set_stemming_strategy(Xapian::TermGenerator::STEM_ALL);
  generator.set_stopper(&stop_words);
  generator.set_stopper_strategy(Xapian::TermGenerator::STOP_ALL);
  // Scripts that put no space between words.
  generator.set_flags(Xapian::TermGenerator::FLAG_CJK_NGRAM);
  generator.index_text_without_positions(normalized(text));
  return generator.get_document();
}

std::vector<Term> read_document(const Xapian::Document& document) {
  std::vector<Term> terms;
  terms.reserve(document.termlist_count());
  for (auto term = document.termlist_begin(); term != document.termlist_end(); ++term) {
    terms.push_back({*term, term.get_wdf()});
  }
  return terms;
}

}  // namespace

std::vector<Term> terms_in(std::string_view text) {
  return read_document(make_document(text));
}

std::string terms_of(std::string_view text) {
  return make_document(text).serialise();
}

Result<std::vector<Term>> read_terms(std::string_view bytes) {
  try {
    return read_document(Xapian::Document::unserialise(std::string(bytes)));
  } catch (const Xapian::Error& error) {
    return Error{Errc::corrupted, std::string("the terms of a passage: ") + error.get_type()};
  }
}

}  // namespace parlance::rag
