#pragma once
// Bytes that the simulated upstream has ready, and the words that belong to HTTP statuses. Pure.

#include <cstdint>
#include <string>
#include <string_view>

namespace parlance::benchmarks {

/// The reason phrase of a status.
std::string_view reason_of(int status);

/// The "type" that OpenAI's errors have with a status.
std::string_view error_type_of(int status);

/// Bytes that are neither SSE nor JSON nor UTF-8; the same for the same seed.
std::string garbage_bytes(uint64_t seed);

/// The answers to `GET /v1/models` and `GET /v1/models/{id}`.
std::string_view models_body();
std::string model_body(std::string_view id);

}  // namespace parlance::benchmarks
