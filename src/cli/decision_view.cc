#include "cli/decision_view.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

namespace mooncake::cli {
namespace {

using Json = nlohmann::json;

std::string text(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "-";
}

std::uint64_t count(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_number() ? at->get<std::uint64_t>() : 0;
}

/// Milliseconds with one decimal; "-" for what did not happen.
std::string ms(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_number() ? fmt::format("{:.1f}", at->get<double>()) : "-";
}

/// As ms(); empty columns of a role that has no such cost stay blank.
std::string column(const Json& object, const char* key) { return object.contains(key) ? ms(object, key) : ""; }

void add_candidate(std::string& page, const Json& candidate) {
  const bool prefill = text(candidate, "role") == "prefill";
  const std::string reuse = prefill ? fmt::format("{} blocks", count(candidate, "reused_blocks")) : "";
  const std::string from = prefill ? text(candidate, "fetch_from") : "";
  page += fmt::format("  {} {:<12} {:<8} {:>11} {:<8} {:>9} {:>9} {:>9} {:>9} {:>8}\n",
                      candidate.value("chosen", false) ? "*" : " ", text(candidate, "name"), text(candidate, "role"),
                      reuse, from, column(candidate, "queue_ms"), column(candidate, "transfer_ms"),
                      column(candidate, "prefill_ms"), column(candidate, "ttft_ms"), column(candidate, "tbt_ms"));
}

void add_decision(std::string& page, const Json& decision) {
  const bool accepted = decision.value("accepted", false);
  page += fmt::format("\nchoice {}, attempt {}: {}\n", count(decision, "choice"), count(decision, "attempt"),
                      text(decision, "reason"));
  if (accepted) {
    page += fmt::format("  prefill on {}, decode on {}, TTFT predicted {} ms, TBT predicted {} ms\n",
                        text(decision, "prefill"), text(decision, "decode"), ms(decision, "predicted_ttft_ms"),
                        ms(decision, "predicted_tbt_ms"));
  } else {
    page += fmt::format("  refused; try again after {} ms\n", ms(decision, "retry_after_ms"));
  }
  page += fmt::format("    {:<12} {:<8} {:>11} {:<8} {:>9} {:>9} {:>9} {:>9} {:>8}\n", "candidate", "role", "reuses",
                      "from", "queue ms", "transfer", "prefill", "TTFT ms", "TBT ms");
  for (const Json& candidate : decision.value("candidates", Json::array())) add_candidate(page, candidate);
}

void add_actual(std::string& page, const Json& actual) {
  page += "\nwhat really happened\n";
  page += fmt::format(
      "  prefill on {}, decode on {}, {} prompt tokens from the cache, {} blocks published\n"
      "  KVCache of the prompt: checksum {}\n",
      text(actual, "prefill"), text(actual, "decode"), count(actual, "cached_tokens"),
      count(actual, "published_blocks"), text(actual, "kv_checksum"));
  page += fmt::format("  queue {} ms, fetch {} ms, prefill {} ms, transfer {} ms; TTFT {} ms, whole answer {} ms\n",
                      ms(actual, "queue_ms"), ms(actual, "fetch_ms"), ms(actual, "prefill_ms"),
                      ms(actual, "transfer_ms"), ms(actual, "ttft_ms"), ms(actual, "total_ms"));
}

}  // namespace

Result<std::string> decision_view(std::string_view json) {
  const Json record = Json::parse(json, nullptr, false);
  if (!record.is_object() || !record.contains("request_id") || !record.contains("decisions")) {
    return Status(Code::kCorrupt, fmt::format("not a decision: {:.200}", json));
  }
  std::string page =
      fmt::format("request {}: {}, {} prompt tokens, {} answer tokens\n", text(record, "request_id"),
                  text(record, "outcome"), count(record, "prompt_tokens"), count(record, "answer_tokens"));
  if (record.contains("error") && record["error"].is_string()) page += fmt::format("  {}\n", text(record, "error"));
  for (const Json& decision : record["decisions"]) add_decision(page, decision);
  if (record.contains("actual")) add_actual(page, record["actual"]);
  return page;
}

}  // namespace mooncake::cli
