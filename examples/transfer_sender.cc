// Writes a text into the memory of transfer_receiver.cc. Usage: transfer_sender HOST:PORT TEXT
#include <fmt/core.h>

#include <cstdio>
#include <cstring>
#include <future>

#include "transfer/transfer_engine.h"

using namespace mooncake;
using transfer::TransferEngine;

constexpr std::uint16_t kOffer = 1;    // -> "INDEX GENERATION BYTES": where to write
constexpr std::uint16_t kWritten = 2;  // the number of bytes that were written, after the last of them

Status send(TransferEngine& engine, const std::string& to, const std::string& text) {
  const Deadline deadline = std::chrono::steady_clock::now() + Seconds(10);
  MC_ASSIGN_OR_RETURN(const transfer::PeerHandle peer, engine.connect(to));
  MC_ASSIGN_OR_RETURN(const std::string offer, engine.call_and_wait(peer, kOffer, "", deadline));
  transfer::SegmentHandle segment;
  unsigned long long generation = 0;
  if (std::sscanf(offer.c_str(), "%u %llu", &segment.index, &generation) != 2) {
    return {Code::kCorrupt, "expected INDEX GENERATION, got " + offer};
  }
  segment.generation = generation;

  // What is sent lies in registered memory, too.
  MC_ASSIGN_OR_RETURN(const ByteSpan memory, engine.allocate_shared(text.size()));
  MC_RETURN_IF_ERROR(engine.register_memory(memory, transfer::Access::kNone).status());
  std::memcpy(memory.data(), text.data(), text.size());

  const transfer::TransferRequest write{
      .op = transfer::TransferRequest::Op::kWrite, .local = memory, .segment = segment, .offset = 0};
  std::promise<Status> done;
  engine.submit(peer, std::span(&write, 1), deadline, transfer::Notify{kWritten, std::to_string(text.size())},
                [&](Status status) { done.set_value(std::move(status)); });
  return done.get_future().get();
}

int main(int argc, char** argv) {
  if (argc != 3 || *argv[2] == '\0') return fmt::print(stderr, "usage: transfer_sender HOST:PORT TEXT\n"), 2;
  transfer::TransferConfig config;
  config.node_name = "sender";
  auto engine = TransferEngine::create(config);
  const Status status = engine.ok() ? send(**engine, argv[1], argv[2]) : engine.status();
  if (!status.ok()) return fmt::print(stderr, "{}\n", status.to_string()), 1;
  fmt::print("sent by {}\n", (*engine)->stats().at(0).transport);
  return 0;
}
