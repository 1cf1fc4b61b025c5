// `mooncake transfer read`: bytes of the segment that a `transfer serve` offers, to a file or to nowhere.
#include <fmt/core.h>

#include <fstream>

#include "cli/tool_commands.h"
#include "cli/transfer/copy_report.h"

namespace mooncake::cli {
namespace {

Status write_file(const std::string& path, ConstByteSpan bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  out.close();
  return out ? Status() : Status(Code::kUnavailable, fmt::format("--output: cannot write {}", path));
}

Status read(const Config& config) {
  const auto count = [&](std::string_view key) { return static_cast<std::uint64_t>(config.integer(key)); };
  const std::uint64_t offset = count("transfer_read.offset");
  const std::uint64_t length = count("transfer_read.length");
  TransferClientOptions options = transfer_client_options(config, "transfer_read");
  options.shm = config.text("transfer_read.transport") == "auto";
  MC_ASSIGN_OR_RETURN(const std::unique_ptr<TransferClient> client,
                      TransferClient::connect(config.text("transfer_read.peer"), std::move(options)));
  MC_RETURN_IF_ERROR(check_range(client->remote(), offset, length));
  MC_RETURN_IF_ERROR(client->allocate_local(length));
  MC_RETURN_IF_ERROR(
      copy_and_report(*client, transfer::TransferRequest::Op::kRead, offset, config.text("transfer_read.trace")));
  const std::string& output = config.text("transfer_read.output");
  return output.empty() ? Status() : write_file(output, client->local());
}

}  // namespace

int run_transfer_read(const Invocation& invocation) {
  const Status status = read(invocation.config);
  return status.ok() ? kExitOk : fail(status);
}

}  // namespace mooncake::cli
