#include "cli/transfer/segment_service.h"

#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/rng.h"

namespace mooncake::cli {
namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

template <typename T>
bool take(const nlohmann::json& object, const char* key, T& into) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return false;
  into = found->get<T>();
  return true;
}

}  // namespace

std::string format_description(const SegmentDescription& description) {
  return nlohmann::ordered_json{{"segment_index", description.segment.index},
                                {"generation", description.segment.generation},
                                {"bytes", description.bytes},
                                {"cpu_s", description.cpu_s}}
      .dump();
}

Result<SegmentDescription> parse_description(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  SegmentDescription description;
  const bool whole = json.is_object() && take(json, "segment_index", description.segment.index) &&
                     take(json, "generation", description.segment.generation) &&
                     take(json, "bytes", description.bytes) && take(json, "cpu_s", description.cpu_s);
  if (!whole) return Status(Code::kCorrupt, fmt::format("this describes no segment: {}", text.substr(0, 200)));
  return description;
}

Status quiet_log(const std::string& process) {
  return log_init({.process = process, .file = {}, .level = LogLevel::kWarn});
}

double process_cpu_s() {
  rusage usage{};
  return ::getrusage(RUSAGE_SELF, &usage) == 0 ? seconds(usage.ru_utime) + seconds(usage.ru_stime) : 0;
}

void fill_with_noise(ByteSpan memory, std::uint64_t seed) {
  Rng rng(seed);
  for (std::size_t at = 0; at < memory.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t word = rng.next();
    std::memcpy(memory.data() + at, &word, std::min(sizeof word, memory.size() - at));
  }
}

Result<SegmentDescription> offer_segment(transfer::TransferEngine& engine, std::uint64_t bytes, std::uint64_t seed) {
  MC_ASSIGN_OR_RETURN(const ByteSpan memory, engine.allocate_shared(bytes));
  fill_with_noise(memory, seed);
  MC_ASSIGN_OR_RETURN(const transfer::SegmentHandle segment,
                      engine.register_memory(memory, transfer::Access::kReadWrite));
  const SegmentDescription description{.segment = segment, .bytes = bytes, .cpu_s = 0};
  engine.serve(kMethodDescribe, [description](transfer::PeerHandle, const std::string&, transfer::Responder responder) {
    SegmentDescription now = description;
    now.cpu_s = process_cpu_s();
    responder.reply(format_description(now));
  });
  engine.serve(kMethodEcho, [](transfer::PeerHandle, std::string payload, transfer::Responder responder) {
    responder.reply(std::move(payload));
  });
  return description;
}

}  // namespace mooncake::cli
