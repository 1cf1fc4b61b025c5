// What an HTTP/1.1 answer looks like on the wire: the head, and the JSON body of errors that the server itself answers.
// Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/http_server.h"

namespace mooncake::net {

/// How the end of an answer's body is told (RFC 9112 section 6).
struct HttpFraming {
  std::optional<std::size_t> content_length = std::nullopt;  ///< none: a stream
  bool chunked = false;    ///< streams of HTTP/1.1; streams of HTTP/1.0 end with the connection
  bool keep_alive = true;  ///< false announces that the connection closes after this answer
};

/// Status line and headers, with the empty line that ends them. Line breaks inside header values become spaces, so that
/// no value can start a header of its own.
std::string http_response_head(std::uint32_t status, const HttpHeaders& headers, const HttpFraming& framing);

/// {"error":{"message":...,"type":...,"param":null,"code":...}}: all four fields of an error as OpenAI has it, because
/// typed clients parse it whole. No error of this layer is about a field of the request.
std::string http_error_body(std::string_view message, std::string_view type, std::string_view code);

/// One chunk of the chunked coding (RFC 9112 section 7.1). `data` must not be empty: that would end the stream.
void append_http_chunk(std::string& out, std::string_view data);

/// What ends a chunked stream.
inline constexpr std::string_view kHttpLastChunk = "0\r\n\r\n";

}  // namespace mooncake::net
