// A peer that asks for what it must not have, a million times, as fast as it can: over TCP and over the unix socket of
// shm. Each answer is what a slow and obvious twin of the checks says, no byte changes but in what peers may write,
// none is told but of what they may read, and the engine serves others meanwhile.
#include <gmock/gmock.h>
#include <sys/mman.h>

#include <mutex>
#include <semaphore>

#include "transfer/fake_peer.h"
#include "transfer/test_node.h"
#include "transfer/test_slowdown.h"

namespace mooncake::transfer {
namespace {

constexpr std::uint16_t kEcho = 900;
constexpr int kRequests = 1'000'000 / (kSanitized ? 40 : 1);
constexpr int kInFlight = 3'000;  // below the 4,096 reads, pulls or grants of a peer that are served at once
constexpr int kAtOnce = 500;
constexpr std::size_t kZone = 16u << 10;
constexpr std::size_t kZones = 11;  // canaries, and every other one a segment
constexpr std::byte kReadable{0x52};
constexpr std::byte kSecret{0x53};
constexpr std::byte kHostile{0x78};

/// Memory between pages that nobody may touch.
class Fenced {
 public:
  explicit Fenced(std::size_t bytes) : bytes_(bytes + 2 * kPage) {
    base_ =
        static_cast<std::byte*>(::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    CHECK(base_ != MAP_FAILED);
    CHECK(::mprotect(base_, kPage, PROT_NONE) == 0);
    CHECK(::mprotect(base_ + bytes_ - kPage, kPage, PROT_NONE) == 0);
  }
  ~Fenced() { ::munmap(base_, bytes_); }
  [[nodiscard]] ByteSpan memory() const { return {base_ + kPage, bytes_ - 2 * kPage}; }

 private:
  static constexpr std::size_t kPage = 64u << 10;
  std::size_t bytes_;
  std::byte* base_;
};

/// Segments with every kind of right, between canaries.
class Arena {
 public:
  Arena(TransferEngine& engine, ByteSpan memory) : memory_(memory) {
    std::ranges::fill(memory_, kSecret);
    for (const Access access : {Access::kRead, Access::kWrite, Access::kReadWrite, Access::kNone, Access::kReadWrite}) {
      const std::size_t at = kZone * (2 * segments_.size() + 1);
      const ByteSpan zone = memory_.subspan(at, kZone);
      if (access != Access::kWrite && access != Access::kNone) std::ranges::fill(zone, kReadable);
      segments_.push_back({*engine.register_memory(zone, access), access, at});
    }
    CHECK(engine.unregister_memory(segments_.back().handle, {}).ok());
    segments_.back().access = Access::kNone;
    stale_ = segments_.back().handle;
    std::ranges::fill(memory_.subspan(segments_.back().at, kZone), kSecret);
  }

  /// The twin: what the answer to that access must be.
  [[nodiscard]] Code verdict(const BulkRange& range, Access needed) const {
    for (const Segment& segment : segments_) {
      if (segment.handle != range.segment || range.segment == stale_) continue;
      const bool allowed = segment.access == needed || segment.access == Access::kReadWrite;
      if (!allowed) return Code::kPermissionDenied;
      const auto end = static_cast<unsigned __int128>(range.offset) + range.length;
      return end > kZone ? Code::kOutOfRange : Code::kOk;
    }
    return Code::kStale;
  }
  /// Mostly wrong, and often by one.
  BulkRange random_range(Rng& rng, std::uint64_t length_max) const {
    BulkRange range;
    range.segment = segments_[rng.below(segments_.size())].handle;
    switch (rng.below(8)) {
      case 0:
        range.segment.generation += rng.below(2) == 0 ? 1 : -1;
        break;
      case 1:
        range.segment.generation = rng.below(2) == 0 ? 0 : rng.next();
        break;
      case 2:
        range.segment.index = static_cast<std::uint32_t>(rng.next());
        break;
      case 3:
        range.segment = stale_;
        break;
      default:
        break;
    }
    range.length = 1 + rng.below(length_max);
    const std::array<std::uint64_t, 8> offsets = {0,
                                                  kZone - range.length,
                                                  kZone - range.length + 1,
                                                  kZone,
                                                  ~std::uint64_t{0},
                                                  ~std::uint64_t{0} - range.length + 1,
                                                  ~std::uint64_t{0} / 2,
                                                  rng.next()};
    range.offset = offsets[rng.below(offsets.size())];
    return range;
  }
  /// Nothing has changed but where peers may write, and there is nothing but theirs.
  void expect_untouched() const {
    for (std::size_t at = 0; at < memory_.size(); at += kZone) {
      const ByteSpan zone = memory_.subspan(at, kZone);
      const auto segment = std::ranges::find(segments_, at, &Segment::at);
      const Access access = segment == segments_.end() ? Access::kNone : segment->access;
      const bool readable = access == Access::kRead || access == Access::kReadWrite;
      const bool writable = access == Access::kWrite || access == Access::kReadWrite;
      const std::byte before = readable ? kReadable : kSecret;
      EXPECT_TRUE(std::ranges::all_of(zone, [&](std::byte b) { return b == before || (writable && b == kHostile); }))
          << "zone " << at / kZone;
    }
  }

 private:
  struct Segment {
    SegmentHandle handle;
    Access access;
    std::size_t at;
  };
  ByteSpan memory_;
  std::vector<Segment> segments_;
  SegmentHandle stale_;
};

/// A request, and the code of the answer that must come.
struct Attack {
  FrameHeader header;
  std::string payload;
  Code verdict = Code::kOk;
};

void append(std::string& stream, const Attack& attack) {
  const OutFrame frame = OutFrame::make(attack.header, {}, attack.payload);
  stream.append(reinterpret_cast<const char*>(frame.head.data()), frame.head_bytes).append(frame.payload);
}

class Hostile : public testing::Test {
 protected:
  Hostile() : victim_({.node_name = "victim"}) { victim_.serve_echo(kEcho); }

  void meet() {
    tcp_.hello().epoch = ~std::uint64_t{0} - ++epochs_;  // the larger one dials the unix socket
    tcp_.hello().shm_socket = "nobody-dials-this";
    tcp_.dial(victim_->name());
    tcp_.greet_as_neighbour();
  }
  void meet_by_shm() {
    meet();
    unix_.hello() = tcp_.hello();
    unix_.hello().role = ConnectionRole::kShm;
    unix_.hello().connection = random_seed() | 1;
    unix_.dial_unix(tcp_.engine_hello().shm_socket);
    unix_.greet();
    EXPECT_EQ(unix_.receive().header.kind, FrameKind::kShmProbe);
    unix_.send({.kind = FrameKind::kShmReady, .argument = 0});
    const UniqueFd pool(::memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    const std::string bytes(kZone, static_cast<char>(kHostile));
    ASSERT_EQ(::write(pool.get(), bytes.data(), kZone), static_cast<ssize_t>(kZone));
    ASSERT_EQ(::fcntl(pool.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
    std::string announced(16, '\0');
    store_le(reinterpret_cast<std::byte*>(announced.data()), std::uint64_t{1});
    store_le(reinterpret_cast<std::byte*>(announced.data()) + 8, std::uint64_t{kZone});
    unix_.send_with_fd({.kind = FrameKind::kShmPool}, announced, pool.get());
  }

  /// From any thread: the streams do not mix.
  void send(FakePeer& peer, const std::string& stream) {
    const std::lock_guard lock(sending_);
    peer.send_raw(stream);
  }

  /// Sends kRequests of them, many at once, and takes the answers meanwhile. `check` gets each answer with the verdict.
  void attack(FakePeer& peer, const std::function<Attack(Rng&, std::uint64_t id)>& make,
              const std::function<void(const FakePeer::Frame&, Code)>& check) {
    std::vector<std::atomic<std::uint8_t>> verdicts(kRequests);
    std::counting_semaphore<> room(kInFlight);
    std::thread sender([&] {
      Rng rng(17);
      std::string stream;
      for (int id = 0; id < kRequests; ++id) {
        if (!room.try_acquire_until(soon())) return;
        const Attack one = make(rng, id);
        verdicts[id] = static_cast<std::uint8_t>(one.verdict);
        append(stream, one);
        if (id % kAtOnce != 0 && id + 1 < kRequests) continue;
        send(peer, stream);
        stream.clear();
      }
    });
    std::vector<bool> answered(kRequests);
    for (int answers = 0; answers < kRequests; ++answers) {
      FakePeer::Frame frame = peer.receive();
      if (frame.header.kind == FrameKind::kShmPool) frame = peer.receive();
      if (frame.end || frame.header.request_id >= answered.size() || answered[frame.header.request_id]) {
        ADD_FAILURE() << "answer " << answers << " is missing, or comes twice: " << frame.payload;
        break;
      }
      answered[frame.header.request_id] = true;
      room.release();
      check(frame, static_cast<Code>(verdicts[frame.header.request_id].load()));
    }
    sender.join();
  }

  /// Others are served while this lives, and are told so.
  class Bystander {
   public:
    explicit Bystander(TestNode& node) : node_(node), thread_([this] { run(); }) {}
    ~Bystander() {
      stop_ = true;
      thread_.join();
      EXPECT_GT(served_, 0);
    }

   private:
    void run() {
      TestNode other({.node_name = "bystander", .enable_shm = false});
      do {
        const Result<std::string> answer = other.ask(node_, kEcho, "hello");
        EXPECT_TRUE(answer.ok()) << answer.status().to_string();
        ++served_;
      } while (!stop_);
    }
    TestNode& node_;
    std::atomic<bool> stop_{false};
    int served_ = 0;
    std::thread thread_;
  };

  TestNode victim_;
  FakePeer tcp_;
  FakePeer unix_;
  std::mutex sending_;
  std::uint64_t epochs_ = 0;
};

TEST_F(Hostile, TcpPeerTouchesNothingThatIsNotGranted) {
  const Fenced fenced(kZones * kZone);
  const Arena arena(victim_.engine(), fenced.memory());
  const Bystander bystander(victim_);
  meet();
  int granted = 0;
  attack(
      tcp_,
      [&](Rng& rng, std::uint64_t id) {
        const bool write = rng.below(2) == 0;
        BulkRange range = arena.random_range(rng, 64);
        if (write && rng.below(16) == 0) range.length = 0;
        const std::string data(write ? range.length : 0, static_cast<char>(kHostile));
        return Attack{.header = {.kind = write ? FrameKind::kWrite : FrameKind::kRead, .request_id = id},
                      .payload = range_payload(range, data),
                      .verdict = arena.verdict(range, write ? Access::kWrite : Access::kRead)};
      },
      [&](const FakePeer::Frame& frame, Code verdict) {
        const auto code = static_cast<Code>(frame.header.argument);
        if (frame.header.kind == FrameKind::kData) {
          EXPECT_EQ(verdict, Code::kOk);
          EXPECT_EQ(frame.payload.find(static_cast<char>(kSecret)), std::string::npos);
        } else {
          EXPECT_EQ(code, verdict) << frame.payload;
        }
        granted += verdict == Code::kOk ? 1 : 0;
      });
  EXPECT_GT(granted, kRequests / 50);  // so that checks which refuse everything do not pass
  EXPECT_LT(granted, kRequests / 2);
  arena.expect_untouched();
}

TEST_F(Hostile, ShmPeerWritesNothingThatIsNotGranted) {
  const ByteSpan memory = *victim_->allocate_shared(kZones * kZone);
  const Arena arena(victim_.engine(), memory);
  const Bystander bystander(victim_);
  meet_by_shm();
  int granted = 0;
  const auto make = [&](Rng& rng, std::uint64_t id) {
    const bool pull = rng.below(2) == 0;
    BulkRange range = arena.random_range(rng, 256);
    if (!pull && rng.below(4) == 0) range.length = rng.below(2) == 0 ? 0 : rng.next();
    const FrameHeader header{.kind = pull ? FrameKind::kShmPull : FrameKind::kShmGrant, .request_id = id};
    Attack attack{header, range_payload(range), arena.verdict(range, pull ? Access::kWrite : Access::kRead)};
    if (!pull) return attack;
    ShmSource source{.pool = 1, .at = rng.below(kZone - 256), .length = range.length};
    if (rng.below(8) == 0) {
      source.at = rng.below(2) == 0 ? kZone - range.length + 1 : ~std::uint64_t{0} - rng.below(range.length);
      attack.verdict = Code::kOutOfRange;  // found before the target is looked at
    }
    std::array<std::byte, kSourceBytes> bytes;
    encode_source(source, bytes);
    attack.payload.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return attack;
  };
  attack(unix_, make, [&](const FakePeer::Frame& frame, Code verdict) {
    const auto code = static_cast<Code>(frame.header.argument);
    if (frame.header.kind == FrameKind::kShmGranted) {
      EXPECT_EQ(verdict, Code::kOk);
      std::string release;
      append(release, {{.kind = FrameKind::kShmRelease, .request_id = frame.header.request_id}, {}});
      send(unix_, release);
    } else {
      EXPECT_EQ(code, verdict) << frame.payload;
    }
    granted += verdict == Code::kOk ? 1 : 0;
  });
  EXPECT_GT(granted, kRequests / 50);
  EXPECT_LT(granted, kRequests / 2);
  arena.expect_untouched();
}

/// Requests that end the connection, each among others that are fine.
TEST_F(Hostile, RequestsThatCannotBeEndOnlyTheirOwnPeer) {
  const ByteSpan memory = *victim_->allocate_shared(kZones * kZone);
  const Arena arena(victim_.engine(), memory);
  const SegmentHandle large = *victim_->register_memory(*victim_->allocate_shared(8u << 20), Access::kReadWrite);
  const Bystander bystander(victim_);
  const std::string whole = range_payload({large, 0, 8u << 20});
  const std::string pull = range_payload({large, 0, kZone}) + std::string("\1\0\0\0\0\0\0\0", 8) +
                           std::string(8, '\0') + std::string("\0\x40\0\0\0\0\0\0", 8);
  struct Case {
    bool by_shm;
    std::vector<Attack> frames;
  };
  const std::vector<Case> cases = {
      {false,
       {{{.kind = FrameKind::kRead, .request_id = 1}, whole}, {{.kind = FrameKind::kRead, .request_id = 1}, whole}}},
      {false, {{{.kind = FrameKind::kRead, .request_id = 1}, range_payload({large, 0, 0})}}},
      {false, {{{.kind = FrameKind::kRead, .request_id = 1}, range_payload({large, 0, (8u << 20) + 1})}}},
      {false, {{{.kind = FrameKind::kWrite, .request_id = 1}, range_payload({large, 0, ~0ull}, "x")}}},
      {false, {{{.kind = FrameKind::kWrite, .request_id = 1}, "short"}}},
      {false, {{{.kind = FrameKind::kShmPull, .request_id = 1}, pull}}},
      {false, {{{.kind = FrameKind::kJoined}, std::string(8, '\1')}}},  // that is for the side that was dialled to say
      {true,
       {{{.kind = FrameKind::kShmGrant, .request_id = 1}, whole},
        {{.kind = FrameKind::kShmGrant, .request_id = 1}, whole}}},
      {true,
       {{{.kind = FrameKind::kShmPull, .request_id = 1}, pull},
        {{.kind = FrameKind::kShmPull, .request_id = 1}, pull}}},
      {true, {{{.kind = FrameKind::kShmPull, .request_id = 1ull << 63}, pull}}},
      {true, {{{.kind = FrameKind::kShmRelease, .request_id = 1}, ""}}},
      {true, {{{.kind = FrameKind::kWrite, .request_id = 1}, range_payload({large, 0, 1}, "x")}}},
      {true, {{{.kind = FrameKind::kShmGrant, .request_id = 1}, "short"}}},
  };
  for (int round = 0; round < (kSanitized ? 2 : 20); ++round) {
    for (const Case& one : cases) {
      if (one.by_shm)
        meet_by_shm();
      else
        meet();
      std::string stream;
      for (const Attack& frame : one.frames) append(stream, frame);
      FakePeer& peer = one.by_shm ? unix_ : tcp_;
      peer.send_raw(stream);
      EXPECT_FALSE(peer.receive_close().ok()) << "case " << &one - cases.data();
    }
  }
  arena.expect_untouched();
  Later<bool> gone;  // nothing holds on to the segment of which they asked so much
  ASSERT_TRUE(victim_->unregister_memory(large, [set = gone.setter()] { set(true); }).ok());
  EXPECT_TRUE(gone.get());
}

}  // namespace
}  // namespace mooncake::transfer
