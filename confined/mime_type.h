// A MIME type that a confined program answered with. It is shown to clients, so it is checked as if
// a stranger had sent it.
#pragma once

#include <algorithm>
#include <string_view>

namespace parlance::confined {

/// True for nothing but what such a type is made of.
inline bool is_mime_type(std::string_view type) {
  return std::all_of(type.begin(), type.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/.+-_").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

}  // namespace parlance::confined
