#include "net/http_format.h"

#include <fmt/format.h>

#include <boost/beast/http/status.hpp>
#include <ctime>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace mooncake::net {
namespace {

// RFC 9110 section 6.6.1: an answer carries a Date, in this format, in GMT.
std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return {text, size};
}

void append_one_line(std::string& out, std::string_view text) {
  for (const char c : text) out.push_back(c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
}

}  // namespace

std::string http_response_head(std::uint32_t status, const HttpHeaders& headers, const HttpFraming& framing) {
  const auto reason = boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(status));
  std::string head;
  head.reserve(256);
  fmt::format_to(std::back_inserter(head), "HTTP/1.1 {} {}\r\nDate: {}\r\n", status,
                 std::string_view(reason.data(), reason.size()), http_date());
  for (const auto& [name, value] : headers) {
    append_one_line(head, name);
    head.append(": ");
    append_one_line(head, value);
    head.append("\r\n");
  }
  if (framing.content_length) {
    fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\n", *framing.content_length);
  } else if (framing.chunked) {
    head.append("Transfer-Encoding: chunked\r\n");
  }
  head.append(framing.keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
  return head;
}

std::string http_error_body(std::string_view message, std::string_view type, std::string_view code) {
  const nlohmann::ordered_json error = {{"message", message}, {"type", type}, {"param", nullptr}, {"code", code}};
  const nlohmann::ordered_json body = {{"error", error}};
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void append_http_chunk(std::string& out, std::string_view data) {
  CHECK(!data.empty());
  fmt::format_to(std::back_inserter(out), "{:x}\r\n", data.size());
  out.append(data).append("\r\n");
}

}  // namespace mooncake::net
