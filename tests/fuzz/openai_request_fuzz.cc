// Bodies of requests from clients: refused with an error that can be sent, or complete and within every limit.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "serve/openai/request.h"

using namespace mooncake::serve::openai;  // NOLINT: a program of one function

namespace {

void try_generate(Api api, std::string_view body) {
  GenerateRequest request;
  const auto error = read_generate_request(api, body, request);
  if (error) {
    CHECK(error->http_status >= 400 && !error->message.empty());
    return;
  }
  CHECK(request.api == api);
  CHECK(request.choices >= 1 && request.choices <= kChoicesMax);
  CHECK(request.stops.size() <= kStopsMax);
  for (const std::string& stop : request.stops) CHECK(!stop.empty() && stop.size() <= kStopBytesMax);
  CHECK(request.temperature >= 0 && request.top_p > 0 && request.top_p <= 1);
  CHECK(!request.tokens_max || *request.tokens_max >= 1);
  if (api == Api::kChat) CHECK(!request.messages.empty() && request.messages.size() <= kMessagesMax);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  try_generate(Api::kChat, body);
  try_generate(Api::kText, body);
  std::string text;
  (void)read_tokenize_request(body, text);
  return 0;
}
