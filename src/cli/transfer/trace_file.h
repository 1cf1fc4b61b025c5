// TraceFile: what transfer engines did, as a file that https://ui.perfetto.dev and chrome://tracing open: Chrome's
// trace event format, a JSON array with a line for each event.
//
// A process of the viewer is a peer of one engine; batches, calls and the slices of each path are tracks of it. What
// began and is kept has its end there, too. Events are kept in memory until write(), so that no file is in the way of
// the engine.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/status.h"
#include "transfer/transfer_engine.h"

namespace mooncake::cli {

/// Some 30 MB of JSON, which the viewers open within seconds; a second or two of 64 KiB blocks at full speed.
inline constexpr std::size_t kTraceEventsMax = 200'000;

/// One engine at a time may tell it; write() and the others are for when none does.
class TraceFile final : public transfer::TransferTrace {
 public:
  explicit TraceFile(std::size_t events_max = kTraceEventsMax) : events_max_(events_max) {}

  void on_event(const transfer::TraceEvent& event) override;
  /// What comes next is of another engine, whose peers are others.
  void next_engine() { ++engine_; }

  /// Events that were heard when there was no more room.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  [[nodiscard]] std::size_t size() const { return events_.size(); }
  [[nodiscard]] std::string text() const;
  /// Writes text(), and says on standard error what was kept. Without a `path`: nothing.
  /// @return kUnavailable if the file cannot be written.
  Status write(const std::string& path) const;

 private:
  struct Event {
    transfer::TraceEvent event;  // its names are empty; these stand for them
    std::uint32_t process = 0;
    std::uint32_t path = 0;
  };
  using Key = std::tuple<transfer::TraceEvent::Kind, std::uint32_t, std::uint64_t>;  // beginning, process, id

  std::uint32_t process_of(const transfer::TraceEvent& event);
  std::uint32_t path_of(const transfer::TraceEvent& event);
  bool has_room(const transfer::TraceEvent& event, std::uint32_t process);
  [[nodiscard]] std::string line(const Event& kept) const;

  const std::size_t events_max_;
  std::uint32_t engine_ = 0;
  std::uint64_t dropped_ = 0;
  std::deque<Event> events_;
  absl::flat_hash_set<Key> open_;                                               // what began and has not ended
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint32_t> processes_;  // by engine and peer
  std::vector<std::string> process_names_;
  std::vector<std::string> paths_;  // "tcp 0"
};

/// An engine tells a TraceFile what it does for as long as this lives. The engine outlives it.
class TraceScope {
 public:
  /// `file` null: nothing is told.
  TraceScope(TraceFile* file, transfer::TransferEngine& engine);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  transfer::TransferEngine* const engine_;  // null: told nothing
};

}  // namespace mooncake::cli
