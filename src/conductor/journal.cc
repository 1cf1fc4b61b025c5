#include "conductor/journal.h"

#include <fmt/core.h>

#include <vector>

#include "conductor/journal_codec.h"
#include "kvcache/cost_profile_json.h"

namespace mooncake::conductor {
namespace {

using journal::Json;

constexpr int kVersion = 1;

class JournalingConductor final : public Conductor {
 public:
  JournalingConductor(const ConductorConfig& config, const kvcache::CostProfile& profile,
                      std::shared_ptr<std::ostream> out)
      : inner_(Conductor::create(config, kvcache::make_cost_model(profile))),
        ticks_(config.elastic || config.replicate),
        out_(std::move(out)) {
    const Json head = {{"journal", kVersion},
                       {"config", journal::to_json(config)},
                       {"profile", Json::parse(kvcache::cost_profile_json(profile))}};
    *out_ << head.dump() << '\n';
  }

  Decision on_request(const RequestView& request, Instant now) override {
    Decision decision = inner_->on_request(request, now);
    write(now, "request", journal::to_json(request), journal::to_json(decision));
    return decision;
  }
  void on_phase(RequestNumber request, Phase phase, Instant now) override {
    inner_->on_phase(request, phase, now);
    write(now, "phase",
          {{"request", static_cast<std::uint64_t>(request)}, {"phase", static_cast<std::uint8_t>(phase)}});
  }
  std::optional<Refusal> before_decode(RequestNumber request, Instant now) override {
    auto refusal = inner_->before_decode(request, now);
    write(now, "before_decode", {{"request", static_cast<std::uint64_t>(request)}}, journal::to_json(refusal));
    return refusal;
  }
  void on_prefill_actual(InstanceId instance, const PrefillActual& actual) override {
    inner_->on_prefill_actual(instance, actual);
    write(last_, "prefill_actual",
          {{"instance", static_cast<std::uint32_t>(instance)},
           {"prompt_tokens", actual.prompt_tokens},
           {"reused_tokens", actual.reused_tokens},
           {"prefill", actual.prefill.count()}});
  }
  void on_tbt_actual(RequestNumber request, Nanos tbt, Instant now) override {
    inner_->on_tbt_actual(request, tbt, now);
    write(now, "tbt_actual", {{"request", static_cast<std::uint64_t>(request)}, {"tbt", tbt.count()}});
  }
  void on_cache(std::span<const CacheEvent> events, Instant now) override {
    inner_->on_cache(events, now);
    for (const CacheEvent& event : events) write(now, "cache", journal::to_json(event));
  }
  void on_stats(const InstanceStats& stats, Instant now) override {
    inner_->on_stats(stats, now);
    write(now, "stats", journal::to_json(stats));
  }
  void on_instance(const InstanceChange& change, Instant now) override {
    inner_->on_instance(change, now);
    write(now, "instance", journal::to_json(change));
  }
  void on_tick(Instant now, std::vector<Action>& out) override {
    std::vector<Action> actions;
    inner_->on_tick(now, actions);
    if (ticks_) write(now, "tick", Json::object(), journal::to_json(actions));
    out.insert(out.end(), actions.begin(), actions.end());
  }
  [[nodiscard]] double pool_load(Role role, Instant now) const override { return inner_->pool_load(role, now); }

 private:
  void write(Instant now, const char* call, Json told, std::optional<Json> decided = {}) {
    last_ = now;
    Json line = {{"at", now.time_since_epoch().count()}, {"call", call}, {"told", std::move(told)}};
    if (decided) line["decided"] = std::move(*decided);
    *out_ << line.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  }

  std::unique_ptr<Conductor> inner_;
  const bool ticks_;  // without it ticks change nothing
  std::shared_ptr<std::ostream> out_;
  Instant last_{};  // for the one call that has no time
};

class Replay {
 public:
  void begin(const Json& head) {
    if (head.at("journal").get<int>() != kVersion) throw journal::OutOfRange("another version of the journal");
    const auto profile = kvcache::parse_cost_profile(head.at("profile").dump());
    if (!profile.ok()) throw journal::OutOfRange(profile.status().message());
    conductor_ = Conductor::create(journal::config_from(head.at("config")), kvcache::make_cost_model(*profile));
  }

  void call(const Json& line, std::uint64_t number) {
    const Instant now(Nanos(line.at("at").get<std::int64_t>()));
    if (now < now_) throw journal::OutOfRange("time goes backwards");
    now_ = now;
    ++report_.calls;
    if (const auto made = make(line.at("call").get<std::string>(), line.at("told"), now)) {
      compare(line.at("decided"), *made, number);
    }
  }

  [[nodiscard]] const ReplayReport& report() const { return report_; }

 private:
  /// @return the answer of calls that have one.
  std::optional<Json> make(const std::string& call, const Json& told, Instant now) {
    if (call == "request") {
      std::vector<Key128> keys;
      const RequestView request = journal::request_from(told, keys);
      return journal::to_json(conductor_->on_request(request, now));
    }
    if (call == "before_decode") return journal::to_json(conductor_->before_decode(request_of(told), now));
    if (call == "tick") {
      std::vector<Action> actions;
      conductor_->on_tick(now, actions);
      return journal::to_json(actions);
    }
    tell(call, told, now);
    return std::nullopt;
  }

  void tell(const std::string& call, const Json& told, Instant now) {
    if (call == "phase") {
      conductor_->on_phase(request_of(told), journal::phase_from(told.at("phase")), now);
    } else if (call == "prefill_actual") {
      conductor_->on_prefill_actual(InstanceId{told.at("instance").get<std::uint32_t>()},
                                    {.prompt_tokens = told.at("prompt_tokens").get<std::uint32_t>(),
                                     .reused_tokens = told.at("reused_tokens").get<std::uint32_t>(),
                                     .prefill = Nanos(told.at("prefill").get<std::int64_t>())});
    } else if (call == "tbt_actual") {
      conductor_->on_tbt_actual(request_of(told), Nanos(told.at("tbt").get<std::int64_t>()), now);
    } else if (call == "cache") {
      const CacheEvent event = journal::cache_event_from(told);
      conductor_->on_cache(std::span(&event, 1), now);
    } else if (call == "stats") {
      conductor_->on_stats(journal::stats_from(told), now);
    } else if (call == "instance") {
      conductor_->on_instance(journal::instance_from(told), now);
    } else {
      throw journal::OutOfRange("there is no call \"" + call + "\"");
    }
  }

  void compare(const Json& recorded, const Json& made, std::uint64_t number) {
    ++report_.decisions;
    std::string recorded_text = recorded.dump();
    std::string made_text = made.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (recorded_text == made_text) return;
    if (report_.different++ > 0) return;
    report_.first_line = number;
    report_.first_recorded = std::move(recorded_text);
    report_.first_made = std::move(made_text);
  }

  static RequestNumber request_of(const Json& told) { return RequestNumber{told.at("request").get<std::uint64_t>()}; }

  std::unique_ptr<Conductor> conductor_;
  Instant now_{};
  ReplayReport report_;
};

/// @return why the line is wrong, if it is.
std::optional<std::string> take(Replay& replay, const Json& line, std::uint64_t number) {
  try {
    if (number == 1) {
      replay.begin(line);
    } else {
      replay.call(line, number);
    }
    return std::nullopt;
  } catch (const Json::exception& error) {
    return error.what();
  } catch (const journal::OutOfRange& error) {
    return error.what();
  }
}

}  // namespace

std::unique_ptr<Conductor> make_journaling(const ConductorConfig& config, const kvcache::CostProfile& profile,
                                           std::shared_ptr<std::ostream> out) {
  return std::make_unique<JournalingConductor>(config, profile, std::move(out));
}

Result<ReplayReport> replay_journal(std::istream& journal) {
  Replay replay;
  std::vector<char> buffer(kJournalLineBytesMax + 1);
  std::uint64_t number = 0;
  while (journal.getline(buffer.data(), static_cast<std::streamsize>(buffer.size()))) {
    ++number;
    const Json line = Json::parse(buffer.data(), nullptr, /*allow_exceptions=*/false);
    if (line.is_discarded() && journal.eof() && number > 1) break;  // cut off
    if (const auto wrong = take(replay, line, number)) {
      return Status(Code::kInvalidArgument, fmt::format("line {} of the journal: {}", number, *wrong));
    }
  }
  if (!journal.eof()) {
    return Status(Code::kInvalidArgument,
                  fmt::format("line {} is longer than {} bytes", number + 1, kJournalLineBytesMax));
  }
  if (number == 0) return Status(Code::kInvalidArgument, "the journal is empty");
  return replay.report();
}

}  // namespace mooncake::conductor
