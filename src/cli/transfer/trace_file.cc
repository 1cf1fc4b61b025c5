#include "cli/transfer/trace_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

namespace mooncake::cli {
namespace {

using transfer::TraceEvent;
using Kind = TraceEvent::Kind;

/// What ends with an event of that kind; itself if nothing does.
Kind beginning_of(Kind kind) {
  switch (kind) {
    case Kind::kBatchEnd:
      return Kind::kBatchBegin;
    case Kind::kSliceEnd:
      return Kind::kSliceBegin;
    case Kind::kCallEnd:
      return Kind::kCallBegin;
    default:
      return kind;
  }
}

double micros_since(Instant start, Instant at) { return std::chrono::duration<double, std::micro>(at - start).count(); }

}  // namespace

std::uint32_t TraceFile::process_of(const TraceEvent& event) {
  const auto next = static_cast<std::uint32_t>(process_names_.size());
  const auto [found, added] = processes_.try_emplace({engine_, event.peer}, next);
  if (added) process_names_.emplace_back();
  process_names_[found->second] = event.peer_name;  // the last is the peer's own, and not where it should listen
  return found->second;
}

std::uint32_t TraceFile::path_of(const TraceEvent& event) {
  const std::string name =
      event.rail.empty() ? std::string(event.transport) : fmt::format("{} {}", event.transport, event.rail);
  const auto found = std::ranges::find(paths_, name);
  if (found == paths_.end()) paths_.push_back(name);
  return static_cast<std::uint32_t>(std::ranges::find(paths_, name) - paths_.begin());
}

/// A beginning needs room for its end as well, which is kept if and only if the beginning was.
bool TraceFile::has_room(const TraceEvent& event, std::uint32_t process) {
  const std::size_t rest = events_max_ - std::min(events_max_, events_.size() + open_.size());
  if (event.kind == Kind::kPeerLost) return rest >= 1;
  const Kind beginning = beginning_of(event.kind);
  if (beginning != event.kind) return open_.erase({beginning, process, event.id}) > 0;
  return rest >= 2 && open_.insert({event.kind, process, event.id}).second;
}

void TraceFile::on_event(const TraceEvent& event) {
  const std::uint32_t process = process_of(event);
  if (!has_room(event, process)) {
    ++dropped_;
    return;
  }
  Event& kept = events_.emplace_back();
  kept.event = event;
  kept.event.peer_name = kept.event.transport = kept.event.rail = {};
  kept.process = process;
  if (beginning_of(event.kind) == Kind::kSliceBegin) kept.path = path_of(event);
}

std::string TraceFile::line(const Event& kept) const {
  const TraceEvent& event = kept.event;
  const Kind beginning = beginning_of(event.kind);
  const bool lost = event.kind == Kind::kPeerLost;
  const char* const phase = lost ? "i" : beginning == event.kind ? "b" : "e";
  std::string name = "peer lost";
  std::string category = "peer";
  if (beginning == Kind::kBatchBegin) name = category = "batch";
  if (beginning == Kind::kCallBegin) name = category = "call";
  if (beginning == Kind::kSliceBegin) {
    name = paths_[kept.path] + (event.write ? " write" : " read");
    category = "slice";
  }
  nlohmann::ordered_json json = {{"ph", phase},  {"cat", category},
                                 {"name", name}, {"pid", kept.process + 1},
                                 {"tid", 0},     {"ts", micros_since(events_.front().event.at, event.at)}};
  if (lost) {
    json["s"] = "p";  // a mark across the process
    return json.dump();
  }
  json["id"] = fmt::format("{}:{}", kept.process + 1, event.id);
  nlohmann::ordered_json args = {{"bytes", event.bytes}};
  if (category == "slice") args["batch"] = event.batch;
  if (beginning != event.kind) args["status"] = std::string(code_name(event.code));
  json["args"] = std::move(args);
  return json.dump();
}

std::string TraceFile::text() const {
  std::string text = "[\n";
  for (std::size_t process = 0; process < process_names_.size(); ++process) {
    text +=
        nlohmann::ordered_json{
            {"ph", "M"}, {"name", "process_name"}, {"pid", process + 1}, {"args", {{"name", process_names_[process]}}}}
            .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
        ",\n";
  }
  for (const Event& kept : events_) text += line(kept) + ",\n";
  if (text.ends_with(",\n")) text.erase(text.size() - 2, 1);
  return text + "]\n";
}

Status TraceFile::write(const std::string& path) const {
  if (path.empty()) return {};
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text();
  out.close();
  if (!out) return {Code::kUnavailable, fmt::format("--trace: cannot write {}", path)};
  fmt::print(stderr, "{}: {} events; open it with https://ui.perfetto.dev\n", path, size());
  if (dropped() > 0) {
    fmt::print(stderr, "{}: {} later events had no room; fewer bytes or larger blocks make fewer\n", path, dropped());
  }
  return {};
}

TraceScope::TraceScope(TraceFile* file, transfer::TransferEngine& engine)
    : engine_(file == nullptr ? nullptr : &engine) {
  if (engine_ == nullptr) return;
  file->next_engine();
  engine_->set_trace(file);
}

TraceScope::~TraceScope() {
  if (engine_ != nullptr) engine_->set_trace(nullptr);
}

}  // namespace mooncake::cli
