#pragma once
// TCP over IPv4 for the benchmarks: addresses, a listening socket, a non-blocking connect.
// All sockets are non-blocking, close-on-exec and, where they carry data, TCP_NODELAY.

#include <cstdint>
#include <string>

#include <netinet/in.h>

#include "benchmarks/support/fd.h"

namespace parlance::benchmarks {

/// A numeric IPv4 address with a port. Host names are not looked up: "localhost" means 127.0.0.1.
struct Address {
  in_addr_t host = 0;  // network byte order
  uint16_t port = 0;

  std::string text() const;
};

/// A URL of the kinds the benchmarks speak: ws://HOST:PORT/PATH or http://HOST:PORT/PATH.
struct Url {
  Address address;
  std::string path;  // begins with "/", or empty
};

/// Throw std::invalid_argument with a sentence that names the text.
Address parse_address(const std::string& text);
Url parse_url(const std::string& text);

/// Throws std::system_error (address in use, not permitted, ...).
Fd listen_on(const Address& address);

/// The address a listening socket really got (its port, when it asked for port 0).
Address local_address(const Fd& socket);

/// Starts a connect; the socket becomes writable when it has ended one way or the other.
/// `source_host` (network byte order, 0 for any) spreads many connections over loopback addresses,
/// since one address has fewer than 30,000 free ports. Throws std::system_error.
Fd start_connect(const Address& address, in_addr_t source_host = 0);

/// 0 once a started connect has succeeded, else the errno it failed with.
int connect_error(const Fd& socket);

/// What the kernel's error number means, in words.
std::string errno_text(int error);

/// Raises the soft limit of open files to the hard one; returns it.
uint64_t raise_open_files_limit();

}  // namespace parlance::benchmarks
