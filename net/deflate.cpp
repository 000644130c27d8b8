#include "net/deflate.h"

#include <algorithm>

#include <boost/beast/zlib/deflate_stream.hpp>
#include <boost/beast/zlib/inflate_stream.hpp>

namespace parlance::net {
namespace {

namespace zlib = boost::beast::zlib;

constexpr int kWindowBits = 15;
constexpr std::string_view kTail("\x00\x00\xff\xff", 4);

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// The text up to `separator`, taken off the front of `rest`.
std::string_view take(std::string_view& rest, char separator) {
  const std::size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view part = trim(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

/// True when the one offer can be agreed to as we compress: the whole window, nothing kept.
bool fits(std::string_view offer) {
  if (take(offer, ';') != "permessage-deflate") return false;
  while (!offer.empty()) {
    std::string_view parameter = take(offer, ';');
    const std::string_view name = take(parameter, '=');
    if (name == "server_max_window_bits" && parameter != "15" && parameter != "\"15\"")
      return false;
    if (name != "server_max_window_bits" && name != "client_max_window_bits" &&
        name != "server_no_context_takeover" && name != "client_no_context_takeover") {
      return false;
    }
  }
  return true;
}

}  // namespace

std::string deflate_message(std::string_view message) {
  thread_local zlib::deflate_stream stream = [] {
    zlib::deflate_stream made;
    made.reset(6, kWindowBits, 8, zlib::Strategy::normal);
    return made;
  }();
  stream.reset();
  std::string out(stream.upper_bound(message.size()) + 16, '\0');
  zlib::z_params state;
  state.next_in = message.data();
  state.avail_in = message.size();
  state.next_out = out.data();
  state.avail_out = out.size();
  boost::system::error_code error;
  stream.write(state, zlib::Flush::sync, error);
  out.resize(state.total_out);
  if (out.ends_with(kTail)) out.resize(out.size() - kTail.size());
  return out;
}

std::optional<std::string> DeflateInflater::inflate(std::string_view compressed,
                                                    std::size_t bytes_max, bool& too_big) {
  thread_local zlib::inflate_stream stream;
  stream.reset(kWindowBits);
  std::string out;
  zlib::z_params state;
  const std::string_view inputs[] = {compressed, kTail};
  for (const std::string_view input : inputs) {
    state.next_in = input.data();
    state.avail_in = input.size();
    while (true) {
      // One byte of room past the limit shows that there is more than may be.
      const std::size_t room = std::min<std::size_t>(16 << 10, bytes_max + 1 - out.size());
      const std::size_t before = out.size();
      out.resize(before + room);
      state.next_out = out.data() + before;
      state.avail_out = room;
      boost::system::error_code error;
      stream.write(state, zlib::Flush::sync, error);
      out.resize(before + room - state.avail_out);
      if (out.size() > bytes_max) {
        too_big = true;
        return std::nullopt;
      }
      if (error == zlib::error::end_of_stream) return out;
      if (error && error != zlib::error::need_buffers) return std::nullopt;
      if (state.avail_out > 0) break;  // All of the input is inflated.
    }
  }
  return out;
}

std::string agree_to_deflate(std::string_view offers) {
  while (!offers.empty()) {
    if (fits(take(offers, ','))) {
      return "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    }
  }
  return {};
}

}  // namespace parlance::net
