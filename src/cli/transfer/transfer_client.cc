#include "cli/transfer/transfer_client.h"

#include <fmt/core.h>

#include <algorithm>

#include "cli/auth_options.h"

namespace mooncake::cli {

using transfer::TransferStats;

TransferClientOptions transfer_client_options(const Config& config, std::string_view section) {
  return {.name = config.text(fmt::format("{}.name", section)),
          .auth = auth_config(config, section),
          .topology = config.text(fmt::format("{}.topology", section))};
}

Result<std::unique_ptr<TransferClient>> TransferClient::connect(const std::string& peer,
                                                                TransferClientOptions options) {
  MC_RETURN_IF_ERROR(quiet_log("transfer-client"));
  std::unique_ptr<TransferClient> client(new TransferClient());
  transfer::TransferConfig config;
  config.node_name = std::move(options.name);
  config.auth = std::move(options.auth);
  config.enable_shm = options.shm;
  config.topology = std::move(options.topology);
  MC_ASSIGN_OR_RETURN(client->engine_, transfer::TransferEngine::create(std::move(config)));
  MC_RETURN_IF_ERROR(client->find_peer(peer));
  return client;
}

Result<std::unique_ptr<TransferClient>> TransferClient::with_own_peer() {
  MC_RETURN_IF_ERROR(quiet_log("transfer-client"));
  std::unique_ptr<TransferClient> client(new TransferClient());
  client->own_peer_ = true;
  transfer::TransferConfig config;
  config.node_name = "transfer-client";
  MC_ASSIGN_OR_RETURN(client->engine_, transfer::TransferEngine::create(std::move(config)));
  return client;
}

Result<std::unique_ptr<TransferClient>> TransferClient::connect_to_itself(std::uint64_t bytes) {
  MC_ASSIGN_OR_RETURN(std::unique_ptr<TransferClient> client, with_own_peer());
  MC_RETURN_IF_ERROR(offer_segment(client->engine(), bytes, 1).status());
  MC_RETURN_IF_ERROR(client->find_peer(client->engine().name()));
  return client;
}

Result<std::unique_ptr<TransferClient>> TransferClient::open_file(const std::string& path, std::uint64_t bytes) {
  MC_ASSIGN_OR_RETURN(std::unique_ptr<TransferClient> client, with_own_peer());
  MC_ASSIGN_OR_RETURN(const transfer::SegmentHandle segment,
                      client->engine().register_file(path, {.writable = true, .bytes = bytes}));
  MC_ASSIGN_OR_RETURN(client->peer_, client->engine().connect(client->engine().name()));
  client->remote_ = {.segment = segment, .bytes = bytes, .cpu_s = 0};
  return client;
}

Result<std::unique_ptr<TransferClient>> TransferClient::open_gpu(ByteSpan memory) {
  MC_ASSIGN_OR_RETURN(std::unique_ptr<TransferClient> client, with_own_peer());
  MC_ASSIGN_OR_RETURN(
      const transfer::SegmentHandle segment,
      client->engine().register_memory(memory, transfer::MemoryKind::kCuda, transfer::Access::kReadWrite));
  MC_ASSIGN_OR_RETURN(client->peer_, client->engine().connect(client->engine().name()));
  client->remote_ = {.segment = segment, .bytes = memory.size(), .cpu_s = 0};
  return client;
}

Status TransferClient::find_peer(const std::string& peer) {
  MC_ASSIGN_OR_RETURN(peer_, engine().connect(peer));
  auto described = describe();
  if (!described.ok()) return described.status().annotate(fmt::format("the peer at {}", peer));
  remote_ = *described;
  return {};
}

Result<SegmentDescription> TransferClient::describe() {
  const Deadline deadline = SteadyClock().now() + kTransferAnswerWait;
  MC_ASSIGN_OR_RETURN(const std::string text, engine().call_and_wait(peer_, kMethodDescribe, "", deadline));
  return parse_description(text);
}

Status TransferClient::allocate_local(std::uint64_t bytes) {
  CHECK(local_.empty());
  MC_ASSIGN_OR_RETURN(local_, engine().allocate_shared(bytes));
  std::ranges::fill(local_, std::byte{0});  // what is timed later should not be the kernel that finds pages
  return engine().register_memory(local_, transfer::Access::kNone).status();
}

Status TransferClient::use_gpu(ByteSpan memory) {
  CHECK(local_.empty());
  MC_RETURN_IF_ERROR(engine().register_memory(memory, transfer::MemoryKind::kCuda, transfer::Access::kNone).status());
  local_ = memory;
  return {};
}

Result<double> TransferClient::cpu_s() {
  if (own_peer_) return process_cpu_s();
  MC_ASSIGN_OR_RETURN(const SegmentDescription now, describe());
  return now.cpu_s + process_cpu_s();
}

Status TransferClient::move(transfer::TransferRequest::Op op, std::uint64_t offset, Deadline deadline) {
  const transfer::TransferRequest request{.op = op, .local = local_, .segment = remote_.segment, .offset = offset};
  return engine().submit_and_wait(peer_, {&request, 1}, deadline);
}

std::string TransferClient::transport() {
  const std::vector<TransferStats> rows = engine().stats();
  const auto moved = [](const TransferStats& row) { return row.bytes_sent + row.bytes_received; };
  const auto most = std::ranges::max_element(rows, {}, moved);
  return most == rows.end() || moved(*most) == 0 ? "" : most->transport;
}

}  // namespace mooncake::cli
