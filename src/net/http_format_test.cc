#include "net/http_format.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mooncake::net {
namespace {

TEST(HttpFormat, AnErrorHasAllFourFieldsThatTypedClientsParse) {
  const auto body = nlohmann::json::parse(http_error_body("too long", "invalid_request_error", "too_large"));
  const nlohmann::json expected = {
      {"error",
       {{"message", "too long"}, {"type", "invalid_request_error"}, {"param", nullptr}, {"code", "too_large"}}}};
  EXPECT_EQ(body, expected);
}

TEST(HttpFormat, BytesThatAreNoUtf8CannotSpoilAnErrorsJson) {
  EXPECT_TRUE(nlohmann::json::accept(http_error_body("bad \xff byte", "invalid_request_error", "bad_http")));
}

}  // namespace
}  // namespace mooncake::net
