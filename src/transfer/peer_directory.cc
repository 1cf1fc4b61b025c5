#include "transfer/peer_directory.h"

#include <fmt/format.h>

namespace mooncake::transfer {

Result<PeerDirectory::Found> PeerDirectory::find_or_add(const PeerName& name) {
  MutexLock lock(mutex_);
  if (const auto found = by_name_.find(name); found != by_name_.end()) return Found{PeerHandle{found->second}, false};
  MC_ASSIGN_OR_RETURN(const PeerHandle handle, add_locked(name));
  return Found{handle, true};
}

Result<PeerHandle> PeerDirectory::add(const PeerName& name) {
  MutexLock lock(mutex_);
  return add_locked(name);
}

Result<PeerHandle> PeerDirectory::add_unlisted(const PeerName& name) {
  MutexLock lock(mutex_);
  return new_handle(name);
}

Result<PeerHandle> PeerDirectory::add_locked(const PeerName& name) {
  MC_ASSIGN_OR_RETURN(const PeerHandle handle, new_handle(name));
  by_name_[name] = handle.value;
  return handle;
}

Result<PeerHandle> PeerDirectory::new_handle(const PeerName& name) {
  if (names_.size() >= kPeersMax) {
    return Status(Code::kExhausted, fmt::format("{} peers are known, the most there can be", kPeersMax));
  }
  const PeerHandle handle{++last_};
  names_.emplace(handle.value, name);
  return handle;
}

void PeerDirectory::remove(PeerHandle peer, bool never_live, const Status& why) {
  MutexLock lock(mutex_);
  const auto name = names_.find(peer.value);
  if (name == names_.end()) return;
  const auto current = by_name_.find(name->second);
  if (current != by_name_.end() && current->second == peer.value) by_name_.erase(current);
  names_.erase(name);
  if (!never_live) return;
  failed_.emplace(peer.value, why);
  failed_order_.push_back(peer.value);
  if (failed_order_.size() > kFailedPeersMax) {
    failed_.erase(failed_order_.front());
    failed_order_.pop_front();
  }
}

PeerName PeerDirectory::name_of(PeerHandle peer) const {
  MutexLock lock(mutex_);
  const auto found = names_.find(peer.value);
  return found == names_.end() ? PeerName() : found->second;
}

Status PeerDirectory::why_gone(PeerHandle peer) const {
  if (peer == PeerHandle{}) return {Code::kInvalidArgument, "the handle names no peer"};
  MutexLock lock(mutex_);
  const auto found = failed_.find(peer.value);
  if (found != failed_.end()) return found->second;
  return {Code::kPeerLost, "the peer's epoch has ended"};
}

}  // namespace mooncake::transfer
