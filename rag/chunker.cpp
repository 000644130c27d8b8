#include "rag/chunker.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include <unicode/localpointer.h>
#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>
#include <unicode/utf8.h>

#include "base/check.h"

namespace parlance::rag {
namespace {

constexpr std::size_t kTokenCodePointsMax = 8;

/// What two passages share, in bytes: without this bound, text that is mostly white space would be
/// repeated in passage after passage.
constexpr std::size_t kOverlapBytesMax = kPassageBytesMax / 4;

/// Of the pieces of a sentence that is too long, so that some of them fit into an overlap.
constexpr std::size_t kPieceBytesMax = kOverlapBytesMax / 2;

constexpr std::string_view kArabicSemicolon = "\xd8\x9b";

bool is_part_of_word(UChar32 c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return c != U_SENTINEL && (U_GET_GC_MASK(c) & (U_GC_L_MASK | U_GC_M_MASK | U_GC_N_MASK)) != 0;
}

bool is_white_space(UChar32 c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
  return u_isUWhiteSpace(c) != 0;
}

/// The visible part of a stretch of text, and the tokens in it.
class Measure {
 public:
  void add(std::string_view text, Span span) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
    for (std::size_t at = span.begin; at < span.end;) {
      const std::size_t begin = at;
      UChar32 c = 0;
      U8_NEXT(bytes, at, span.end, c);
      if (is_white_space(c)) {
        run_ = 0;
        continue;
      }
      if (tokens_ == 0) visible_.begin = begin;
      visible_.end = at;
      if (is_part_of_word(c)) {
        tokens_ += run_++ % kTokenCodePointsMax == 0 ? 1 : 0;
      } else {
        ++tokens_;
        run_ = 0;
      }
    }
  }

  Span visible() const { return visible_; }
  std::size_t bytes() const { return visible_.end - visible_.begin; }
  std::size_t tokens() const { return tokens_; }

 private:
  Span visible_;
  std::size_t tokens_ = 0;
  std::size_t run_ = 0;  // Code points of the word so far.
};

/// What is never cut again.
struct Piece {
  Span span;
  std::size_t tokens = 0;
};

/// The borders of one kind.
class Borders {
 public:
  explicit Borders(UBreakIteratorType type) {
    UErrorCode status = U_ZERO_ERROR;
    iterator_.adoptInstead(ubrk_open(type, "", nullptr, 0, &status));
    CHECK(U_SUCCESS(status));  // The rules are part of ICU's library.
  }

  /// Calls `on_segment(span)` for each stretch of `span` between two borders.
  template <class OnSegment>
  void for_each(std::string_view text, Span span, OnSegment&& on_segment) {
    UErrorCode status = U_ZERO_ERROR;
    const icu::LocalUTextPointer part(
        utext_openUTF8(nullptr, text.data() + span.begin,
                       static_cast<std::int64_t>(span.end - span.begin), &status));
    ubrk_setUText(iterator_.getAlias(), part.getAlias(), &status);
    CHECK(U_SUCCESS(status));
    std::size_t begin = span.begin;
    ubrk_first(iterator_.getAlias());
    for (std::int32_t at = ubrk_next(iterator_.getAlias()); at != UBRK_DONE;
         at = ubrk_next(iterator_.getAlias())) {
      const std::size_t end = span.begin + static_cast<std::size_t>(at);
      on_segment(Span{begin, end});
      begin = end;
    }
  }

 private:
  icu::LocalUBreakIteratorPointer iterator_;
};

/// Cuts sentences that are too long. One per text, because its iterators are dear to make.
class LongSentenceCutter {
 public:
  LongSentenceCutter(std::string_view text, std::size_t piece_tokens_max)
      : text_(text), piece_tokens_max_(piece_tokens_max) {}

  void cut(Span sentence, std::vector<Piece>& pieces) {
    words_.for_each(text_, sentence, [&](Span word) {
      if (take(word, pieces)) return;
      characters_.for_each(text_, word, [&](Span character) {
        if (take(character, pieces)) return;
        take_code_points(character, pieces);
      });
    });
    finish_piece(pieces);
  }

 private:
  /// Makes `part` the end of the piece, or the start of the next one; false if it fits into none.
  bool take(Span part, std::vector<Piece>& pieces) {
    Measure longer = piece_;
    longer.add(text_, part);
    if (!fits(longer)) {
      finish_piece(pieces);
      longer = Measure();
      longer.add(text_, part);
      if (!fits(longer)) return false;
    }
    piece_ = longer;
    return true;
  }

  void take_code_points(Span character, std::vector<Piece>& pieces) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text_.data());
    for (std::size_t at = character.begin; at < character.end;) {
      Span code_point{at, at};
      U8_FWD_1(bytes, code_point.end, character.end);
      take(code_point, pieces);
      at = code_point.end;
    }
  }

  bool fits(const Measure& piece) const {
    return piece.tokens() <= piece_tokens_max_ && piece.bytes() <= kPieceBytesMax;
  }

  void finish_piece(std::vector<Piece>& pieces) {
    if (piece_.tokens() > 0) pieces.push_back({piece_.visible(), piece_.tokens()});
    piece_ = Measure();
  }

  const std::string_view text_;
  const std::size_t piece_tokens_max_;
  Measure piece_;
  Borders words_{UBRK_WORD};
  Borders characters_{UBRK_CHARACTER};
};

/// The sentences of `text` without the white space around them, and long ones in pieces.
std::vector<Piece> make_pieces(std::string_view text, std::size_t passage_tokens,
                               std::size_t overlap_tokens) {
  const std::size_t piece_tokens =
      overlap_tokens == 0 ? passage_tokens : std::max<std::size_t>(1, overlap_tokens / 2);
  LongSentenceCutter cutter(text, piece_tokens);
  std::vector<Piece> pieces;
  const auto add_sentence = [&](Span sentence) {
    Measure measure;
    measure.add(text, sentence);
    if (measure.tokens() > passage_tokens || measure.bytes() > kPassageBytesMax) {
      cutter.cut(measure.visible(), pieces);
    } else if (measure.tokens() > 0) {
      pieces.push_back({measure.visible(), measure.tokens()});
    }
  };
  Borders sentences(UBRK_SENTENCE);
  sentences.for_each(text, {0, text.size()}, [&](Span sentence) {
    // Arabic separates what would be sentences elsewhere by semicolons; Unicode's rules don't.
    const std::string_view inside = text.substr(sentence.begin, sentence.end - sentence.begin);
    std::size_t begin = 0;
    for (std::size_t at = inside.find(kArabicSemicolon); at != std::string_view::npos;
         at = inside.find(kArabicSemicolon, begin)) {
      const std::size_t end = at + kArabicSemicolon.size();
      add_sentence({sentence.begin + begin, sentence.begin + end});
      begin = end;
    }
    add_sentence({sentence.begin + begin, sentence.end});
  });
  return pieces;
}

/// Where the passage after [first, last) begins, so that the two overlap.
std::size_t next_first(const std::vector<Piece>& pieces, std::size_t first, std::size_t last,
                       std::size_t passage_tokens, std::size_t overlap_tokens) {
  const std::size_t overlap_end = pieces[last - 1].span.end;
  std::size_t next = last;
  std::size_t shared = 0;
  while (next > first + 1) {
    const Piece& piece = pieces[next - 1];
    shared += piece.tokens;
    const bool small =
        shared <= overlap_tokens && overlap_end - piece.span.begin <= kOverlapBytesMax;
    // Otherwise the next passage would hold nothing new.
    const bool leaves_room = shared + pieces[last].tokens <= passage_tokens &&
                             pieces[last].span.end - piece.span.begin <= kPassageBytesMax;
    if (!small || !leaves_room) break;
    --next;
  }
  return next;
}

}  // namespace

std::vector<Span> cut_into_passages(std::string_view text, const Options& options) {
  CHECK(text.size() <= std::numeric_limits<std::int32_t>::max());  // ICU counts so.
  const std::size_t passage_tokens = std::max<std::size_t>(1, options.passage_tokens);
  const std::size_t overlap_tokens = std::min(options.overlap_tokens, passage_tokens / 2);
  const std::vector<Piece> pieces = make_pieces(text, passage_tokens, overlap_tokens);

  std::vector<Span> passages;
  for (std::size_t first = 0; first < pieces.size();) {
    const std::size_t begin = pieces[first].span.begin;
    std::size_t tokens = 0;
    std::size_t last = first;
    while (last < pieces.size() && tokens + pieces[last].tokens <= passage_tokens &&
           pieces[last].span.end - begin <= kPassageBytesMax) {
      tokens += pieces[last++].tokens;
    }
    passages.push_back({begin, pieces[last - 1].span.end});
    if (last == pieces.size()) break;
    first = next_first(pieces, first, last, passage_tokens, overlap_tokens);
  }
  return passages;
}

}  // namespace parlance::rag
