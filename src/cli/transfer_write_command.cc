// `mooncake transfer write`: a file's bytes into the segment that a `transfer serve` offers.
#include <fmt/core.h>

#include <filesystem>
#include <fstream>

#include "cli/tool_commands.h"
#include "cli/transfer/copy_report.h"

namespace mooncake::cli {
namespace {

Status read_file(const std::string& path, ByteSpan into) {
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char*>(into.data()), static_cast<std::streamsize>(into.size()));
  return in ? Status() : Status(Code::kUnavailable, fmt::format("--input: cannot read {}", path));
}

Status write(const Config& config) {
  const std::string& input = config.text("transfer_write.input");
  const auto offset = static_cast<std::uint64_t>(config.integer("transfer_write.offset"));
  std::error_code error;
  const std::uint64_t length = std::filesystem::file_size(input, error);
  if (error) return {Code::kNotFound, fmt::format("--input: \"{}\": {}", input, error.message())};
  TransferClientOptions options = transfer_client_options(config, "transfer_write");
  options.shm = config.text("transfer_write.transport") == "auto";
  MC_ASSIGN_OR_RETURN(const std::unique_ptr<TransferClient> client,
                      TransferClient::connect(config.text("transfer_write.peer"), std::move(options)));
  MC_RETURN_IF_ERROR(check_range(client->remote(), offset, length));
  MC_RETURN_IF_ERROR(client->allocate_local(length));
  MC_RETURN_IF_ERROR(read_file(input, client->local()));
  return copy_and_report(*client, transfer::TransferRequest::Op::kWrite, offset, config.text("transfer_write.trace"));
}

}  // namespace

int run_transfer_write(const Invocation& invocation) {
  const Status status = write(invocation.config);
  return status.ok() ? kExitOk : fail(status);
}

}  // namespace mooncake::cli
