#include "sim/trace/azure_reader.h"

#include <charconv>
#include <chrono>
#include <limits>
#include <optional>

namespace mooncake::sim {
namespace {

/// Takes `digits` digits and what has to follow them off the front of `text`.
std::optional<int> take(std::string_view& text, std::size_t digits, std::string_view then) {
  if (text.size() < digits + then.size() || text.substr(digits, then.size()) != then) return std::nullopt;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc() || end != text.data() + digits || value < 0) return std::nullopt;
  text.remove_prefix(digits + then.size());
  return value;
}

/// ".6805900" and the like, up to nine digits; nothing is 0.
std::optional<Nanos> take_fraction(std::string_view& text) {
  if (!text.starts_with('.')) return Nanos{0};
  text.remove_prefix(1);
  std::int64_t nanos = 0;
  int digits = 0;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1), ++digits) {
    if (digits == 9) return std::nullopt;
    nanos = nanos * 10 + (text.front() - '0');
  }
  if (digits == 0) return std::nullopt;
  for (; digits < 9; ++digits) nanos *= 10;
  return Nanos(nanos);
}

/// "2023-11-16 18:15:46.6805900", since 1970.
std::optional<Nanos> parse_time(std::string_view text) {
  const auto year = take(text, 4, "-");
  const auto month = year ? take(text, 2, "-") : std::nullopt;
  const auto day = month ? take(text, 2, " ") : std::nullopt;
  const auto hour = day ? take(text, 2, ":") : std::nullopt;
  const auto minute = hour ? take(text, 2, ":") : std::nullopt;
  const auto second = minute ? take(text, 2, "") : std::nullopt;
  const auto fraction = second ? take_fraction(text) : std::nullopt;
  if (!fraction || !(text.empty() || text == "+00:00" || text == "Z")) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *year < 1970 || *year > 2200 || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         Seconds(*second) + *fraction;
}

std::optional<std::uint32_t> parse_tokens(std::string_view text) {
  std::uint32_t tokens = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), tokens);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return tokens <= static_cast<std::uint32_t>(std::numeric_limits<std::int32_t>::max()) ? std::optional(tokens)
                                                                                        : std::nullopt;
}

Status expected(std::string_view what) { return {Code::kInvalidArgument, "expected " + std::string(what)}; }

}  // namespace

Result<TraceRequest> parse_azure_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::size_t first = line.find(',');
  const std::size_t second = first == std::string_view::npos ? first : line.find(',', first + 1);
  if (second == std::string_view::npos) return expected("a time and two numbers of tokens, with commas between them");
  const auto time = parse_time(line.substr(0, first));
  if (!time) return expected("a time like 2023-11-16 18:15:46.6805900 before the first comma");
  const auto input = parse_tokens(line.substr(first + 1, second - first - 1));
  if (!input || *input == 0) return expected("the prompt's number of tokens, at least 1, between the commas");
  const auto output = parse_tokens(line.substr(second + 1));
  if (!output) return expected("the answer's number of tokens behind the second comma");
  return TraceRequest{.arrival = *time, .input_tokens = *input, .output_tokens = *output};
}

}  // namespace mooncake::sim
