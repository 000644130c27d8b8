// Words that say nothing about a text's subject, in English and Arabic, in the spelling of
// rag/terms.h before stemming: lower case, Arabic without marks and with plain alef.
#pragma once

#include <string_view>

namespace parlance {

/// Whether `word` is one of them; Arabic ones also with "and" or "so" written in front.
bool is_stop_word(std::string_view word);

}  // namespace parlance
