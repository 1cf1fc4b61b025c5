// ServedEndpoint: the granting end of one endpoint; see grant_server.h. Loop thread only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "transfer/context.h"
#include "transfer/rdma/rdma_host.h"

namespace mooncake::transfer {

/// In a ticket that is sent back: the operation was done, not given up.
inline constexpr std::uint32_t kTicketMoved = 1u << 31;

class ServedEndpoint final : public QueuePair::Sink {
 public:
  /// What it says to the rest of the engine.
  struct Hooks {
    /// A slice may be moved.
    std::function<void(std::uint64_t slice, const RdmaGranted& granted)> granted;
    /// A grant is over: ok, or why; `other_transport` when the range is fine, but cannot be reached by RDMA.
    std::function<void(std::uint64_t slice, const Status& status, bool other_transport)> done;
    /// Bytes were written here by the peer, or read.
    std::function<void(std::size_t bytes, bool written)> moved;
    /// It is no use any more; end() it. Not from inside a call to it.
    std::function<void(const Status& why)> broken;
  };

  ServedEndpoint(Context& context, RdmaHost& host, const RdmaHost::Port& port, PeerHandle peer, Hooks hooks);
  ~ServedEndpoint() override { end(false); }

  /// Connects to the opener's end. @return kUnavailable or kExhausted with the reason.
  Result<RdmaEnd> open(const RdmaEnd& opener);
  /// Holds the range and grants it, or says done.
  void grant(std::uint64_t slice, bool write, const BulkRange& range);
  void revoke(SegmentHandle segment);
  [[nodiscard]] bool up() const { return port_.state().address.up; }
  /// Destroys the queue pair, lets go of everything, and says done for each grant that was not over, if `tell`.
  void end(bool tell);

 private:
  enum class State : std::uint8_t {
    kBinding,  ///< the window is not ready yet
    kGranted,  ///< the peer may use it
    kEnding,   ///< the window is being invalidated
    kRevoked,  ///< the segment is let go of; the ticket may still come
  };
  struct Window {
    ibv_mw* window = nullptr;  ///< null: the device has none, or none for this memory
    std::uint32_t key = 0;
  };
  struct Grant {
    std::uint64_t slice = 0;
    SegmentHandle segment;
    ByteSpan memory;
    bool write = false;
    bool revoked = false;
    bool told = false;        ///< the peer has been told how it ended
    bool ticket_out = false;  ///< the peer has the ticket
    State state = State::kBinding;
    Window window;
    RegistrationPtr registration;
  };
  using Grants = absl::flat_hash_map<std::uint32_t, Grant>;

  void on_completion(const ibv_wc& completion) override;
  void on_fault(std::string_view what) override;

  Status grant(std::uint32_t ticket, Grant& grant);
  Status take_window(Window& window);
  void free_windows();
  void on_bound(std::uint32_t ticket);
  void on_ticket(std::uint32_t sent);
  void on_invalidated(std::uint32_t ticket);
  void take_back(std::uint32_t ticket, Grant& grant);
  void let_go(Grant& grant);
  void break_soon(const Status& why);

  Context& context_;
  RdmaHost& host_;
  const RdmaHost::Port port_;
  const PeerHandle peer_;
  Hooks hooks_;
  std::unique_ptr<QueuePair> pair_;
  bool broken_ = false;
  std::uint32_t last_ticket_ = 0;
  Grants grants_;
  std::vector<Window> windows_;                                 // not in use
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // told to posted tasks
};

}  // namespace mooncake::transfer
