// Calls between engines in one process, over real sockets: delivery, errors, limits, and what happens when a side ends.
#include <gmock/gmock.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "transfer/fd.h"
#include "transfer/test_node.h"

namespace mooncake::transfer {
namespace {

constexpr std::uint16_t kEcho = 900;

TEST(Messages, CallIsAnsweredByTheHandler) {
  TestNode a;
  TestNode b;
  b.serve_echo(kEcho);
  EXPECT_EQ(*a.ask(b, kEcho, "hello"), "hello");
  EXPECT_EQ(*a.ask(b, kEcho, ""), "");
}

TEST(Messages, EngineAnswersItself) {
  TestNode a;
  a.serve_echo(kEcho);
  EXPECT_EQ(*a.ask(a, kEcho, "me"), "me");
  EXPECT_EQ(a.ask(a, 7, "me").status().code(), Code::kUnsupported);
}

TEST(Messages, LargestMessageArrivesWholeAndALargerOneIsRefused) {
  TestNode a;
  TestNode b;
  b.serve_echo(kEcho);
  std::string text(kMessageBytesMax, 'x');
  text.back() = 'y';
  EXPECT_EQ(*a.ask(b, kEcho, text), text);
  EXPECT_EQ(a.ask(b, kEcho, text + "z").status().code(), Code::kInvalidArgument);
}

TEST(Messages, ReplyThatIsTooLargeIsAnErrorAtTheCaller) {
  TestNode a;
  TestNode b;
  b->serve(kEcho, [](PeerHandle, std::string, Responder responder) {
    responder.reply(std::string(kMessageBytesMax + 1, 'x'));
  });
  EXPECT_EQ(a.ask(b, kEcho, "").status().code(), Code::kInternal);
}

TEST(Messages, HandlerErrorReachesTheCallerAsItIs) {
  TestNode a;
  TestNode b;
  b->serve(kEcho, [](PeerHandle, std::string, Responder responder) {
    responder.reply(Status(Code::kNotFound, "no such key"));
  });
  const Status status = a.ask(b, kEcho, "").status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_EQ(status.message(), "no such key");
}

TEST(Messages, UnknownMethodIsUnsupported) {
  TestNode a;
  TestNode b;
  EXPECT_EQ(a.ask(b, 12, "").status().code(), Code::kUnsupported);
}

TEST(Messages, ResponderDroppedUnansweredRepliesInternal) {
  TestNode a;
  TestNode b;
  b->serve(kEcho, [](PeerHandle, std::string, Responder) {});
  EXPECT_EQ(a.ask(b, kEcho, "").status().code(), Code::kInternal);
}

TEST(Messages, ResponderAnswersLaterFromAnotherThread) {
  TestNode a;
  TestNode b;
  Later<std::shared_ptr<Responder>> kept;
  b->serve(kEcho, [set = kept.setter()](PeerHandle, std::string, Responder responder) {
    set(std::make_shared<Responder>(std::move(responder)));
  });
  Later<Result<std::string>> answer;
  a->call(a.peer(b), kEcho, "", soon(), answer.setter());
  auto responder = kept.get();
  std::thread([&] { responder->reply(std::string("late")); }).join();
  EXPECT_EQ(*answer.get(), "late");
}

TEST(Messages, ResponderMayOutliveTheEngine) {
  std::shared_ptr<Responder> responder;
  TestNode a;
  {
    TestNode b;
    Later<std::shared_ptr<Responder>> kept;
    b->serve(kEcho, [set = kept.setter()](PeerHandle, std::string, Responder r) {
      set(std::make_shared<Responder>(std::move(r)));
    });
    a->call(a.peer(b), kEcho, "", soon(), [](Result<std::string>) {});
    responder = kept.get();
  }
  responder->reply(std::string("nobody listens"));
}

TEST(Messages, SixtyFourInFlightAreAnsweredEachWithItsOwn) {
  TestNode a;
  TestNode b;
  std::vector<std::shared_ptr<Responder>> waiting;
  b->serve(kEcho, [&waiting](PeerHandle, std::string payload, Responder responder) {
    waiting.push_back(std::make_shared<Responder>(std::move(responder)));
    if (waiting.size() < 64) return;
    for (std::size_t i = waiting.size(); i > 0; --i) waiting[i - 1]->reply(std::to_string(i - 1));  // in reverse
    static_cast<void>(payload);
  });
  const PeerHandle peer = a.peer(b);
  std::vector<Later<Result<std::string>>> answers(64);
  for (auto& answer : answers) a->call(peer, kEcho, "", soon(), answer.setter());
  for (std::size_t i = 0; i < answers.size(); ++i) EXPECT_EQ(*answers[i].get(), std::to_string(i));
}

TEST(Messages, CallsArriveInTheOrderTheyWereMade) {
  TestNode a;
  TestNode b;
  std::vector<std::string> seen;
  b->serve(kEcho, [&seen](PeerHandle, std::string payload, Responder responder) {
    seen.push_back(payload);
    responder.reply(std::string());
  });
  const PeerHandle peer = a.peer(b);
  std::vector<Later<Result<std::string>>> answers(500);
  for (std::size_t i = 0; i < answers.size(); ++i) a->call(peer, kEcho, std::to_string(i), soon(), answers[i].setter());
  for (auto& answer : answers) ASSERT_TRUE(answer.get().ok());
  b.drain();
  ASSERT_EQ(seen.size(), answers.size());
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], std::to_string(i));
}

TEST(Messages, DeadlineEndsACallAndItsLateReplyDoesNoHarm) {
  TestNode a;
  TestNode b;
  Later<std::shared_ptr<Responder>> kept;
  b->serve(kEcho, [set = kept.setter()](PeerHandle, std::string, Responder responder) {
    set(std::make_shared<Responder>(std::move(responder)));
  });
  b.serve_echo(kEcho + 1);
  EXPECT_EQ(a.ask(b, kEcho, "", in(Seconds(1))).status().code(), Code::kDeadlineExceeded);
  kept.get()->reply(std::string("late"));
  EXPECT_EQ(*a.ask(b, kEcho + 1, "still there"), "still there");
}

TEST(Messages, CallbacksRunOnTheExecutor) {
  TestNode a;
  TestNode b;
  b.serve_echo(kEcho);
  Later<bool> on_loop;
  a->call(a.peer(b), kEcho, "", soon(),
          [&loop = a.loop(), set = on_loop.setter()](Result<std::string>) { set(loop.is_current()); });
  EXPECT_TRUE(on_loop.get());
}

TEST(Messages, WithoutAnExecutorCallbacksAndHandlersRunOnTheEnginesOwnThread) {
  const auto alone = *TransferEngine::create({.node_name = "alone"});
  TestNode other;
  other.serve_echo(kEcho);
  Later<bool> handled;
  alone->serve(kEcho, [&, set = handled.setter()](PeerHandle, std::string payload, Responder responder) {
    set(alone->executor().is_current());
    responder.reply(std::move(payload));
  });
  EXPECT_EQ(*other->call_and_wait(*other->connect(alone->name()), kEcho, "in", soon()), "in");
  EXPECT_TRUE(handled.get());
  Later<bool> answered;
  alone->call(*alone->connect(other->name()), kEcho, "out", soon(),
              [&, set = answered.setter()](const Result<std::string>& answer) {
                set(answer.ok() && alone->executor().is_current());
              });
  EXPECT_TRUE(answered.get());
}

TEST(Messages, RefusedConnectionFailsAtOnceWithUnavailable) {
  PeerName nobody;
  {
    TestNode gone;
    nobody = gone->name();
  }
  TestNode a;
  const Instant before = std::chrono::steady_clock::now();
  const PeerHandle peer = *a->connect(nobody);
  EXPECT_EQ(a->call_and_wait(peer, kEcho, "", soon()).status().code(), Code::kUnavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - before, Seconds(2));
  // The handle remembers why, and a new connect() tries again.
  EXPECT_EQ(a->call_and_wait(peer, kEcho, "", soon()).status().code(), Code::kUnavailable);
  EXPECT_NE(*a->connect(nobody), peer);
}

TEST(Messages, NamesThatAreNoEndpointAreRefused) {
  TestNode a;
  for (const char* name :
       {"", "host", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x", "a.b:1", ":1", "[::1:1", "127.0.0.1:1 "}) {
    EXPECT_EQ(a->connect(name).status().code(), Code::kInvalidArgument) << name;
  }
  EXPECT_EQ(a->call_and_wait(PeerHandle{}, kEcho, "", soon()).status().code(), Code::kInvalidArgument);
}

TEST(Messages, ConfigurationsThatCannotWorkAreRefusedWithTheReason) {
  TestNode a;
  TransferConfig taken{.listen = a->name()};
  EXPECT_EQ(TransferEngine::create(taken, a.loop()).status().code(), Code::kUnavailable);
  EXPECT_EQ(TransferEngine::create({.listen = "0.0.0.0:0"}, a.loop()).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(TransferEngine::create({.connections_per_peer = 0}, a.loop()).status().code(), Code::kInvalidArgument);
}

TEST(Messages, AnotherClusterIsRefusedWithTheReason) {
  TestNode a({.cluster_id = "one"});
  TestNode b({.cluster_id = "two"});
  b.serve_echo(kEcho);
  const Status status = a.ask(b, kEcho, "").status();
  EXPECT_EQ(status.code(), Code::kPermissionDenied);
  EXPECT_THAT(status.message(), testing::HasSubstr("cluster"));
}

TEST(Messages, CalleeReachesTheCallerThroughItsHandle) {
  TestNode a;
  TestNode b;
  a.serve_echo(kEcho);
  Later<PeerHandle> caller;
  b->serve(kEcho, [set = caller.setter()](PeerHandle from, std::string, Responder responder) {
    set(from);
    responder.reply(std::string());
  });
  ASSERT_TRUE(a.ask(b, kEcho, "").ok());
  const PeerHandle from = caller.get();
  EXPECT_EQ(b->peer_name(from), a->name());
  EXPECT_EQ(*b->connect(a->name()), from);  // one peer, whoever opened the connection
  EXPECT_EQ(*b->call_and_wait(from, kEcho, "back", soon()), "back");
}

TEST(Messages, TwoEnginesThatDialEachOtherAtOnceAreOnePeerEach) {
  for (int round = 0; round < 20; ++round) {
    TestNode a;
    TestNode b;
    std::atomic<std::uint64_t> a_saw{0};
    std::atomic<std::uint64_t> b_saw{0};
    a->serve(kEcho, [&](PeerHandle from, std::string, Responder responder) {
      a_saw = from.value;
      responder.reply(std::string("a"));
    });
    b->serve(kEcho, [&](PeerHandle from, std::string, Responder responder) {
      b_saw = from.value;
      responder.reply(std::string("b"));
    });
    Later<Result<std::string>> from_a;
    Later<Result<std::string>> from_b;
    const PeerHandle a_to_b = a.peer(b);
    const PeerHandle b_to_a = b.peer(a);
    a->call(a_to_b, kEcho, "", soon(), from_a.setter());
    b->call(b_to_a, kEcho, "", soon(), from_b.setter());
    EXPECT_EQ(*from_a.get(), "b");
    EXPECT_EQ(*from_b.get(), "a");
    EXPECT_EQ(a_saw.load(), a_to_b.value);
    EXPECT_EQ(b_saw.load(), b_to_a.value);
  }
}

TEST(Messages, PeerThatEndsFailsItsCallsThenIsReportedLostOnce) {
  TestNode a;
  auto b = std::make_unique<TestNode>();
  Later<bool> arrived;
  std::vector<std::shared_ptr<Responder>> kept;
  (*b)->serve(kEcho, [&, set = arrived.setter()](PeerHandle, std::string, Responder responder) {
    kept.push_back(std::make_shared<Responder>(std::move(responder)));
    set(true);
  });
  std::vector<std::string> events;
  Later<PeerHandle> lost;
  a->on_peer_lost([&, set = lost.setter()](PeerHandle peer) {
    events.emplace_back("lost");
    set(peer);
  });
  const PeerHandle peer = a.peer(*b);
  a->call(peer, kEcho, "", soon(), [&](Result<std::string> result) {
    EXPECT_EQ(result.status().code(), Code::kPeerLost) << result.status().to_string();
    events.emplace_back("call failed");
  });
  EXPECT_TRUE(arrived.get());
  b->destroy_engine();
  EXPECT_EQ(lost.get(), peer);
  a.drain();
  EXPECT_THAT(events, testing::ElementsAre("call failed", "lost"));
  EXPECT_EQ(a->peer_name(peer), "");
  EXPECT_EQ(a->call_and_wait(peer, kEcho, "", soon()).status().code(), Code::kPeerLost);
}

TEST(Messages, RestartAtTheSamePortIsAnotherPeer) {
  TestNode a;
  auto b = std::make_unique<TestNode>();
  b->serve_echo(kEcho);
  const PeerName name = (*b)->name();
  Later<PeerHandle> lost;
  a->on_peer_lost(lost.setter());
  const PeerHandle first = *a->connect(name);
  ASSERT_TRUE(a->call_and_wait(first, kEcho, "", soon()).ok());
  b.reset();
  EXPECT_EQ(lost.get(), first);
  TestNode again({.listen = name});
  again.serve_echo(kEcho);
  const PeerHandle second = *a->connect(name);
  EXPECT_NE(second, first);
  EXPECT_EQ(*a->call_and_wait(second, kEcho, "new", soon()), "new");
  EXPECT_EQ(a->call_and_wait(first, kEcho, "", soon()).status().code(), Code::kPeerLost);
}

TEST(Messages, DestructionFailsWhatIsInFlightWithCancelled) {
  TestNode a;
  TestNode b;
  std::vector<std::shared_ptr<Responder>> kept;
  Later<bool> arrived;
  b->serve(kEcho, [&, set = arrived.setter()](PeerHandle, std::string, Responder responder) {
    kept.push_back(std::make_shared<Responder>(std::move(responder)));
    set(true);
  });
  Later<Result<std::string>> answer;
  a->call(a.peer(b), kEcho, "", soon(), answer.setter());
  EXPECT_TRUE(arrived.get());
  a.destroy_engine();
  EXPECT_EQ(answer.get().status().code(), Code::kCancelled);
}

}  // namespace
}  // namespace mooncake::transfer
