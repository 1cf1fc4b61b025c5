#include "serve/openai/json_reader.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "base/utf8.h"

namespace mooncake::serve::openai {
namespace {

using nlohmann::json;

// Builds the tree and refuses it as soon as it grows beyond a limit. The parser itself keeps its stack on the heap.
class LimitedBuilder final : public nlohmann::json_sax<json> {
 public:
  explicit LimitedBuilder(json& root) : root_(root) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& value) override {
    key_ = std::move(value);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const json::exception& error) override {
    std::string_view why = error.what();
    if (const std::size_t colon = why.find("- "); colon != std::string_view::npos) why.remove_prefix(colon + 2);
    error_ = {.code = "invalid_json",
              .message = fmt::format("The body is not valid JSON at byte {}: {}", position, why.substr(0, 200)),
              .param = {},
              .hint = {}};
    return false;
  }

  [[nodiscard]] std::optional<ApiError> error() const { return error_; }

 private:
  bool add(json value) { return place(std::move(value)) != nullptr; }

  bool open(json value) {
    if (stack_.size() == kJsonDepthMax) return refuse(fmt::format("nests deeper than {} levels", kJsonDepthMax));
    json* placed = place(std::move(value));
    if (placed != nullptr) stack_.push_back(placed);
    return placed != nullptr;
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  // Pointers on the stack stay valid: only the innermost container grows, and its parents hold it by pointer.
  json* place(json value) {
    if (++values_ > kJsonValuesMax) {
      refuse(fmt::format("holds more than {} values", kJsonValuesMax));
      return nullptr;
    }
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    json& member = parent[key_];
    member = std::move(value);
    return &member;
  }

  bool refuse(const std::string& why) {
    error_ = {.code = "json_too_large", .message = "The JSON body " + why + ".", .param = {}, .hint = {}};
    return false;
  }

  json& root_;
  std::vector<json*> stack_;
  std::string key_;
  std::size_t values_ = 0;
  std::optional<ApiError> error_;
};

}  // namespace

std::optional<ApiError> read_json(std::string_view text, json& out) {
  if (const auto at = find_invalid_utf8(text)) {
    return ApiError{.code = "invalid_utf8",
                    .message = fmt::format("The body is not valid UTF-8 at byte {} (0x{:02x}).", *at,
                                           static_cast<unsigned char>(text[*at])),
                    .param = {},
                    .hint = "Send JSON in UTF-8."};
  }
  LimitedBuilder builder(out);
  if (json::sax_parse(text, &builder)) return std::nullopt;
  return builder.error();
}

std::optional<ApiError> read_json_object(std::string_view text, json& out) {
  if (auto error = read_json(text, out)) return error;
  if (out.is_object()) return std::nullopt;
  return ApiError{.code = "invalid_json",
                  .message = fmt::format("The body must be a JSON object, got {}.", shown(out)),
                  .param = {},
                  .hint = {}};
}

std::string shown(const json& value) {
  if (value.is_structured() && value.size() > 8) {
    return fmt::format("{} of {} values", value.is_array() ? "an array" : "an object", value.size());
  }
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  constexpr std::size_t kShownMax = 60;
  if (text.size() > kShownMax) text = text.substr(0, kShownMax) + "...";
  return text;
}

}  // namespace mooncake::serve::openai
