// Offers memory to whoever knows the endpoint that it prints, waits until something was written there, shows it, ends.
// Usage: transfer_receiver [LISTEN]. The other half is transfer_sender.cc.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <future>

#include "transfer/transfer_engine.h"

using namespace mooncake;
using transfer::TransferEngine;

constexpr std::uint16_t kOffer = 1;    // -> "INDEX GENERATION BYTES": where to write
constexpr std::uint16_t kWritten = 2;  // the number of bytes that were written, after the last of them

int main(int argc, char** argv) {
  transfer::TransferConfig config;
  config.node_name = "receiver";
  if (argc > 1) config.listen = argv[1];
  // Without an executor: handlers run on the engine's own thread, right where messages arrive.
  auto created = TransferEngine::create(config);
  if (!created.ok()) return fmt::print(stderr, "{}\n", created.status().to_string()), 1;
  const std::unique_ptr<TransferEngine> engine = std::move(*created);

  // Memory that processes of this host copy into directly; from another host it goes by TCP or RDMA.
  const Result<ByteSpan> memory = engine->allocate_shared(1 << 20);
  if (!memory.ok()) return fmt::print(stderr, "{}\n", memory.status().to_string()), 1;
  const transfer::SegmentHandle segment = *engine->register_memory(*memory, transfer::Access::kWrite);

  engine->serve(kOffer, [&](transfer::PeerHandle, const std::string&, transfer::Responder responder) {
    responder.reply(fmt::format("{} {} {}", segment.index, segment.generation, memory->size()));
  });
  std::promise<std::size_t> written;
  engine->serve(kWritten,
                [&, done = false](transfer::PeerHandle, const std::string& text, transfer::Responder) mutable {
                  if (!std::exchange(done, true))
                    written.set_value(std::min<std::size_t>(std::atoi(text.c_str()), memory->size()));
                });

  fmt::print("{}\n", engine->name());
  std::fflush(stdout);
  const std::size_t bytes = written.get_future().get();
  fmt::print("{}\n", std::string_view(reinterpret_cast<const char*>(memory->data()), bytes));
  return 0;
}
