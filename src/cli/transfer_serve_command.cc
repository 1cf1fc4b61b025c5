// `mooncake transfer serve`: a transfer engine with one segment, in a process of its own, until SIGINT or SIGTERM.
#include <fmt/core.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/auth_options.h"
#include "cli/json_output.h"
#include "cli/rail_options.h"
#include "cli/tool_commands.h"
#include "cli/transfer/segment_service.h"
#include "net/event_loop.h"

namespace mooncake::cli {
namespace {

/// The line for who started the process: to standard output, and to the descriptor that was named.
Status announce(const transfer::PeerName& endpoint, const SegmentDescription& segment, int ready_fd) {
  const std::string line = nlohmann::ordered_json{{"endpoint", endpoint},
                                                  {"segment_index", segment.segment.index},
                                                  {"generation", segment.segment.generation},
                                                  {"bytes", segment.bytes}}
                               .dump() +
                           "\n";
  if (ready_fd >= 0 && ::write(ready_fd, line.data(), line.size()) < 0) {
    return {Code::kInvalidArgument, fmt::format("--ready-fd {}: nothing can be written there", ready_fd)};
  }
  return write_json(std::string(kJsonToStdout), line);
}

Status serve(const Config& config) {
  MC_RETURN_IF_ERROR(quiet_log("transfer-serve"));
  const std::unique_ptr<net::EventLoop> signals = net::EventLoop::create("transfer-serve");
  signals->on_signal([&signals](int) { signals->stop(); });
  transfer::TransferConfig options;
  options.listen = config.text("transfer_serve.listen");
  options.node_name = config.text("transfer_serve.name");
  options.auth = auth_config(config, "transfer_serve");
  set_rails(config, "transfer_serve", options);
  MC_ASSIGN_OR_RETURN(const std::unique_ptr<transfer::TransferEngine> engine,
                      transfer::TransferEngine::create(std::move(options)));
  MC_ASSIGN_OR_RETURN(const SegmentDescription segment,
                      offer_segment(*engine, static_cast<std::uint64_t>(config.integer("transfer_serve.bytes")),
                                    static_cast<std::uint64_t>(config.integer("transfer_serve.seed"))));
  MC_RETURN_IF_ERROR(announce(engine->name(), segment, static_cast<int>(config.integer("transfer_serve.ready_fd"))));
  signals->run();
  return {};
}

}  // namespace

int run_transfer_serve(const Invocation& invocation) {
  std::signal(SIGPIPE, SIG_IGN);  // a peer that is gone is an error code, not a signal
  const Status status = serve(invocation.config);
  return status.ok() ? kExitOk : fail(status);
}

}  // namespace mooncake::cli
