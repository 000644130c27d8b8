#include "base/stop_words.h"

#include <string>
#include <unordered_set>

namespace parlance {
namespace {

using Words = std::unordered_set<std::string_view>;

// Besides function words: the words that questions are wrapped in, and greetings.
const Words& english() {
  static const Words words{
      "a",       "about",   "above",    "after",   "again",   "all",      "also",    "am",
      "an",      "and",     "any",      "are",     "aren't",  "as",       "at",      "be",
      "because", "been",    "before",   "being",   "below",   "between",  "both",    "but",
      "by",      "can",     "can't",    "cannot",  "could",   "couldn't", "did",     "didn't",
      "do",      "does",    "doesn't",  "doing",   "don't",   "during",   "each",    "either",
      "else",    "ever",    "every",    "few",     "for",     "from",     "further", "had",
      "hadn't",  "has",     "hasn't",   "have",    "haven't", "having",   "he",      "her",
      "here",    "hers",    "herself",  "him",     "himself", "his",      "how",     "how's",
      "i",       "i'd",     "i'll",     "i'm",     "i've",    "if",       "in",      "into",
      "is",      "isn't",   "it",       "it's",    "its",     "itself",   "just",    "let",
      "let's",   "may",     "me",       "might",   "more",    "most",     "must",    "my",
      "myself",  "no",      "nor",      "not",     "of",      "off",      "on",      "once",
      "only",    "or",      "other",    "our",     "ours",    "out",      "over",    "own",
      "same",    "shall",   "she",      "should",  "so",      "some",     "such",    "than",
      "that",    "that's",  "the",      "their",   "theirs",  "them",     "then",    "there",
      "there's", "these",   "they",     "they're", "this",    "those",    "through", "to",
      "too",     "under",   "until",    "up",      "upon",    "us",       "very",    "was",
      "wasn't",  "we",      "were",     "weren't", "what",    "what's",   "when",    "when's",
      "where",   "where's", "which",    "while",   "who",     "who's",    "whom",    "whose",
      "why",     "will",    "with",     "won't",   "would",   "wouldn't", "you",     "you're",
      "your",    "yours",   "yourself", "ask",     "bye",     "describe", "explain", "give",
      "goodbye", "hello",   "help",     "hey",     "hi",      "know",     "mean",    "means",
      "ok",      "okay",    "please",   "say",     "says",    "show",     "tell",    "thank",
      "thanks",  "today",   "want",     "yes"};
  return words;
}

const Words& arabic() {
  static const Words words{
      "من",     "الى",    "عن",      "على",   "في",     "فى",    "مع",     "منذ",    "حتى",
      "حول",    "عند",    "لدى",     "بين",   "قبل",    "بعد",   "خلال",   "دون",    "بدون",
      "غير",    "سوى",    "ضد",      "نحو",   "تحت",    "فوق",   "امام",   "خلف",    "ما",
      "ماذا",   "متى",    "اين",     "كيف",   "كم",     "اي",    "اية",    "لماذا",  "لم",
      "لن",     "لا",     "ليس",     "ليست",  "هل",     "ان",    "انه",    "انها",   "انهم",
      "اننا",   "انني",   "اني",     "اذا",   "اذ",     "لو",    "لولا",   "كي",     "لكي",
      "لكن",    "لان",    "بل",      "او",    "ام",     "ثم",    "قد",     "لقد",    "سوف",
      "كان",    "كانت",   "كانوا",   "يكون",  "تكون",   "كل",    "بعض",    "جميع",   "كلا",
      "نفس",    "ذات",    "هو",      "هي",    "هم",     "هن",    "هما",    "انا",    "نحن",
      "انت",    "انتم",   "انتن",    "هذا",   "هذه",    "هذان",  "هاتان",  "هؤلاء",  "ذلك",
      "تلك",    "اولئك",  "هنا",     "هناك",  "هنالك",  "الذي",  "التي",   "الذين",  "اللذان",
      "اللتان", "اللاتي", "اللواتي", "له",    "لها",    "لهم",   "لنا",    "لي",     "لك",
      "لكم",    "به",     "بها",     "بهم",   "بي",     "بك",    "بنا",    "فيه",    "فيها",
      "فيهم",   "منه",    "منها",    "منهم",  "عليه",   "عليها", "عليهم",  "عليك",   "عنه",
      "عنها",   "اليه",   "اليها",   "عنده",  "عندها",  "عندي",  "لديه",   "لديها",  "لديك",
      "لديكم",  "كما",    "مثل",     "ايضا",  "فقط",    "جدا",   "اكثر",   "اقل",    "الان",
      "عندما",  "حيث",    "بينما",   "كذلك",  "مما",    "عما",   "فيما",   "بما",    "لما",
      "و",      "ف",      "ب",       "ل",     "ك",      "يا",    "نعم",    "يمكن",   "يمكنك",
      "يمكنني", "تم",     "مرحبا",   "اهلا",  "السلام", "عليكم", "وعليكم", "صباح",   "مساء",
      "الخير",  "شكرا",   "عفوا",    "حالك",  "حالكم",  "فضلك",  "فضلكم",  "رجاء",   "اخبرني",
      "اخبرنا", "قل",     "اشرح",    "اعطني", "اريد",   "اعرف",  "تعرف",   "ساعدني", "اليوم"};
  return words;
}

}  // namespace

bool is_stop_word(std::string_view word) {
  if (english().contains(word) || arabic().contains(word)) return true;
  for (const std::string_view prefix : {"و", "ف"}) {
    if (word.starts_with(prefix) && arabic().contains(word.substr(prefix.size()))) return true;
  }
  return false;
}

}  // namespace parlance
