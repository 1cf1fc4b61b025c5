// FakeExchange: an HttpExchange for tests that keeps what it is told.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "net/http_server.h"

namespace mooncake::serve {

class FakeExchange final : public net::HttpExchange {
 public:
  explicit FakeExchange(net::HttpRequest request = {}) : request_(std::move(request)) {}

  [[nodiscard]] const net::HttpRequest& request() const override { return request_; }
  void respond(std::uint32_t new_status, net::HttpHeaders new_headers, std::string new_body) override {
    start_stream(new_status, std::move(new_headers));
    body = std::move(new_body);
    finished = true;
  }
  void start_stream(std::uint32_t new_status, net::HttpHeaders new_headers) override {
    status = new_status;
    headers = std::move(new_headers);
  }
  Status write(std::string chunk) override {
    if (write_status.ok()) body += chunk;
    return write_status;
  }
  void finish() override { finished = true; }
  void on_client_gone(std::function<void()> callback) override { gone = std::move(callback); }

  /// Of the answer, or empty.
  [[nodiscard]] std::string header(std::string_view name) const {
    for (const auto& [key, value] : headers) {
      if (key == name) return value;
    }
    return {};
  }

  std::uint32_t status = 0;
  net::HttpHeaders headers;
  std::string body;
  bool finished = false;
  Status write_status;  ///< what write() answers
  std::function<void()> gone;

 private:
  const net::HttpRequest request_;
};

}  // namespace mooncake::serve
