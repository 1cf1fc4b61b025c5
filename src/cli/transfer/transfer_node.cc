#include "cli/transfer/transfer_node.h"

#include "base/log.h"

namespace mooncake::cli {

Result<std::unique_ptr<TransferNode>> TransferNode::create(transfer::TransferConfig config) {
  // Clients come and go, which is no news here.
  MC_RETURN_IF_ERROR(log_init({.process = config.node_name, .file = {}, .level = LogLevel::kWarn}));
  std::unique_ptr<TransferNode> node(new TransferNode());
  node->loop_ = net::EventLoop::create("transfer-calls");
  node->loop_->start();
  MC_ASSIGN_OR_RETURN(node->engine_, transfer::TransferEngine::create(std::move(config), *node->loop_));
  return node;
}

TransferNode::~TransferNode() {
  engine_.reset();
  loop_->stop();
}

}  // namespace mooncake::cli
