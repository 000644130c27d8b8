// Options of the model providers. All have defaults that work for a hosted OpenAI-compatible model.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace parlance::llm {

/// What a provider takes for a million tokens.
struct TokenPrices {
  double input = 0;
  double output = 0;
  std::string currency = "USD";  ///< ISO 4217.
};

struct ProviderOptions {
  enum class Kind : unsigned char { offline, openai };

  std::string name = "offline";  ///< For logs and metrics.
  Kind kind = Kind::offline;
  std::string base_url = "https://api.openai.com/v1";  ///< http or https; no trailing slash needed.
  std::string api_key;  ///< Sent as a bearer token; from the environment or a file. Never logged.
  std::string model = "gpt-4o-mini";
  /// A PEM bundle that an https upstream's certificate is checked with, instead of the system's.
  std::string ca_file;

  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds first_token_timeout{
      60'000};                                      ///< From start of the call to first delta.
  std::chrono::milliseconds idle_timeout{30'000};   ///< Between two bytes after that.
  std::chrono::milliseconds call_timeout{600'000};  ///< The whole call.
  std::size_t answer_bytes_max = 4 << 20;           ///< Text and tool arguments of one answer.
  std::size_t line_bytes_max = 1 << 20;             ///< One line of the event stream.

  int tries_max = 3;                             ///< Before the first token only.
  std::chrono::milliseconds backoff_first{250};  ///< Doubles at each try, with jitter.
  std::chrono::milliseconds backoff_max{8'000};  ///< A longer Retry-After ends the tries.
  std::size_t in_flight_max = 1'000;             ///< Calls at once, the whole node.
  std::size_t queue_max = 10'000;                ///< Calls waiting for a place, the whole node.
  std::chrono::milliseconds queue_timeout{30'000};
  int breaker_failures = 8;                          ///< In a row; then calls fail at once...
  std::chrono::milliseconds breaker_open{5'000};     ///< ...for this long; then one try decides.
  std::chrono::milliseconds offline_token_delay{0};  ///< Offline only: pause between deltas.
  std::optional<TokenPrices> prices = {};            ///< Nothing: what it costs is not known.
};

/// Providers in the order they are tried. Empty: the offline provider alone.
struct Options {
  std::vector<ProviderOptions> providers = {};
  /// Used by the calls that name one of them (ModelRequest::provider), and by no others.
  std::vector<ProviderOptions> named = {};
};

/// How texts are sent to be embedded. Address, key, tries and times are those of a ProviderOptions.
struct EmbeddingsOptions {
  /// Of one request. More would cost fewer round trips; but an answer is read in one go, on a
  /// core's thread, and 32 vectors of 1,536 numbers take it about 2 ms.
  std::size_t batch_texts_max = 32;
  std::size_t batch_bytes_max = 256 << 10;   ///< Likewise; one text over it goes alone.
  std::size_t text_bytes_max = 256 << 10;    ///< Models take about 8,000 tokens of a text.
  std::size_t texts_max = 16'384;            ///< Of one call.
  std::size_t in_flight_max = 4;             ///< Requests at once, for each core and base URL.
  std::size_t waiting_bytes_max = 64 << 20;  ///< Texts that are being embedded, for each core.
  std::size_t dimensions_max = 8'192;        ///< Of one vector.
};

/// Speech to text and text to speech by an OpenAI-compatible provider: /audio/transcriptions and
/// /audio/speech.
struct SpeechOptions {
  std::string base_url;  ///< http or https. Empty: there is no provider, speech is offline.
  std::string api_key;   ///< Sent as a bearer token; from the environment or a file. Never logged.
  /// A PEM bundle that an https upstream's certificate is checked with, instead of the system's.
  std::string ca_file;
  std::string transcription_model = "whisper-1";
  std::string speech_model = "tts-1";
  std::string voice = "alloy";  ///< Of calls that name none.

  std::chrono::milliseconds connect_timeout{5'000};
  /// From the last byte of a request to the first one of its answer's body.
  std::chrono::milliseconds first_byte_timeout{60'000};
  std::chrono::milliseconds idle_timeout{30'000};   ///< Between two bytes before and after that.
  std::chrono::milliseconds call_timeout{600'000};  ///< The whole call: its waiting, all its tries.

  int tries_max = 3;                             ///< Before the first byte of an answer only.
  std::chrono::milliseconds backoff_first{250};  ///< Doubles at each try, with jitter.
  std::chrono::milliseconds backoff_max{8'000};  ///< A longer Retry-After ends the tries.
  std::size_t in_flight_max = 64;                ///< Requests at once.
  std::size_t queue_max = 256;                   ///< Waiting for a place; each holds its file open.
  std::chrono::milliseconds queue_timeout{30'000};
  int breaker_failures = 8;                       ///< In a row; then calls fail at once...
  std::chrono::milliseconds breaker_open{5'000};  ///< ...for this long; then one try decides.

  std::size_t upload_bytes_max = 25 << 20;       ///< One recording; OpenAI takes no more.
  std::size_t transcript_bytes_max = 256 << 10;  ///< The text of one.
  std::size_t text_bytes_max = 256 << 10;        ///< To be spoken in one call.
  /// Of the text of one request, in code points: OpenAI takes no more. A longer text is spoken by
  /// several, one after the other.
  std::size_t request_characters_max = 4'096;
  std::size_t speech_bytes_max = 64 << 20;  ///< The audio of one call.
};

}  // namespace parlance::llm
