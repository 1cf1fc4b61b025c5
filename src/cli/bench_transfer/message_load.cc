#include "cli/bench_transfer/message_load.h"

#include <string>

#include "cli/bench_transfer/chains.h"

namespace mooncake::cli {
namespace {

/// A call that takes so much longer than the whole measurement is stuck.
constexpr Seconds kPatience{30};

Status check_answer(const Result<std::string>& answer, std::uint64_t bytes) {
  if (!answer.ok()) return answer.status();
  return answer->size() == bytes ? Status() : Status(Code::kCorrupt, "an echo is not as long as what was sent");
}

}  // namespace

Result<LoadResult> run_messages(TransferClient& client, std::uint64_t bytes, std::uint32_t in_flight, Nanos duration) {
  const std::string payload(bytes, 'm');
  const Deadline deadline = SteadyClock().now() + duration + kPatience;
  Chains chains(in_flight, [&](std::uint32_t, Chains::Done done) {
    client.engine().call(
        client.peer(), kMethodEcho, payload, deadline,
        [bytes, done = std::move(done)](Result<std::string> answer) { done(check_answer(answer, bytes)); });
  });
  MC_ASSIGN_OR_RETURN(const double cpu_before, client.cpu_s());
  MC_ASSIGN_OR_RETURN(Chains::Seen seen, chains.run(duration));
  MC_ASSIGN_OR_RETURN(const double cpu_after, client.cpu_s());
  const std::uint64_t operations = seen.latency_us.size();
  return LoadResult{.seconds = seen.seconds,
                    .operations = operations,
                    .bytes = operations * bytes,
                    .cpu_s = cpu_after - cpu_before,
                    .latency_us = std::move(seen.latency_us)};
}

}  // namespace mooncake::cli
