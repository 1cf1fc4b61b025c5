#include "cli/bench_transfer/message_load.h"

#include <string>

#include "cli/bench_transfer/chains.h"
#include "cli/bench_transfer/measure_load.h"

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
  return measure_load(client, bytes, 1, [&] { return chains.run(duration); });
}

}  // namespace mooncake::cli
