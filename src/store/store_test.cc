// The store as its users see it: a master, nodes and clients over real sockets, and what happens when each of them
// dies.
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "store/methods.h"
#include "store/test_cluster.h"
#include "store/wire.h"

namespace mooncake::store {
namespace {

constexpr std::size_t kMiB = 1u << 20;

/// A master, one node of 16 MiB and a client.
class OneNode : public testing::TestWithParam<bool> {
 protected:
  OneNode() : node("node-0", master.name(), 16 * kMiB, GetParam()), client(master.name(), "", GetParam()) {
    EXPECT_TRUE(eventually([this] { return node.joined(); }));
  }
  TestMaster master;
  TestStoreNode node;
  TestClient client;
};

TEST_P(OneNode, GivesBackExactlyWhatWasPut) {
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{4096}, kInlineBytesMax, kInlineBytesMax + 1, 3 * kMiB + 7}) {
    const std::vector<std::byte> value = noise(bytes, bytes);
    ASSERT_EQ(client.put(bytes, value).to_string(), "ok") << bytes;
    const auto got = client.get(bytes, bytes);
    ASSERT_TRUE(got.ok()) << got.status().to_string();
    EXPECT_EQ(*got, value);
    EXPECT_EQ(client.locate(bytes), std::vector<std::string>{"node-0"});
  }
}

TEST_P(OneNode, AnUnknownKeyIsAMiss) { EXPECT_EQ(client.get(1, 10).status().code(), Code::kNotFound); }

TEST_P(OneNode, RefusesBytesThatDoNotMatchTheirChecksum) {
  for (const std::size_t bytes : {std::size_t{100}, kMiB}) {
    const std::vector<std::byte> value = noise(bytes, 1);
    const std::vector<Status> statuses = client->put_and_wait({{key(bytes), value, crc32c(value) + 1}}, soon());
    EXPECT_EQ(statuses[0].code(), Code::kCorrupt);
    EXPECT_EQ(client.get(bytes, bytes).status().code(), Code::kNotFound);
  }
}

TEST_P(OneNode, DamageInThePoolIsNeverDelivered) {
  for (const std::size_t bytes : {std::size_t{5000}, kMiB}) {
    const std::vector<std::byte> value = noise(bytes, bytes);
    ASSERT_TRUE(client.put(bytes, value).ok());
    const auto at = std::search(node.pool().begin(), node.pool().end(), value.begin(), value.end());
    ASSERT_NE(at, node.pool().end());
    *(at + 1234) ^= std::byte{4};
    EXPECT_EQ(client.get(bytes, bytes).status().code(), Code::kCorrupt);
    EXPECT_EQ(client.get(bytes, bytes).status().code(), Code::kNotFound) << "the node dropped it";
    EXPECT_TRUE(eventually([&] { return client.locate(bytes).empty(); }));
    ASSERT_TRUE(client.put(bytes, value).ok());
    EXPECT_EQ(*client.get(bytes, bytes), value);
  }
}

TEST_P(OneNode, ATargetOfAnotherSizeIsRefusedAndUntouched) {
  ASSERT_TRUE(client.put(1, noise(kMiB, 1)).ok());
  std::vector<std::byte> target(kMiB - 1, std::byte{7});
  EXPECT_EQ(client->get_and_wait({{key(1), target}}, soon())[0].status.code(), Code::kInvalidArgument);
  EXPECT_EQ(target, std::vector<std::byte>(kMiB - 1, std::byte{7}));
}

TEST_P(OneNode, PutOfAnExistingKeySucceedsAndWritesNothing) {
  const std::vector<std::byte> first = noise(kMiB, 1);
  ASSERT_TRUE(client.put(1, first).ok());
  ASSERT_TRUE(client.put(1, noise(kMiB, 2)).ok());
  EXPECT_EQ(*client.get(1, kMiB), first);
  EXPECT_EQ(node.metric("mooncake_store_node_received_bytes_total"), kMiB);
}

TEST_P(OneNode, DuplicateKeysInABatchEachGetTheBytes) {
  for (const std::size_t bytes : {std::size_t{300}, kMiB}) {
    const std::vector<std::byte> value = noise(bytes, 1);
    const std::uint32_t crc = crc32c(value);
    for (const Status& status :
         client->put_and_wait({{key(bytes), value, crc}, {key(bytes), value, crc}, {key(bytes), value, crc}}, soon())) {
      EXPECT_TRUE(status.ok()) << status.to_string();
    }
    std::vector<std::vector<std::byte>> targets(3, std::vector<std::byte>(bytes));
    const auto outcomes =
        client->get_and_wait({{key(bytes), targets[0]}, {key(bytes), targets[1]}, {key(bytes), targets[2]}}, soon());
    for (const GetOutcome& outcome : outcomes) EXPECT_TRUE(outcome.status.ok()) << outcome.status.to_string();
    for (const auto& target : targets) EXPECT_EQ(target, value);
  }
}

TEST_P(OneNode, BatchesLargerThanAMessageAreSplit) {
  constexpr std::size_t kSmall = 3'000;  // of 5 KiB: 15 MiB inline, more messages than may be in flight
  std::vector<std::vector<std::byte>> values;
  std::vector<PutItem> puts;
  for (std::size_t i = 0; i < kSmall; ++i) values.push_back(noise(5000, i));
  for (std::size_t i = 0; i < kSmall; ++i) puts.push_back({key(i), values[i], crc32c(values[i])});
  for (const Status& status : client->put_and_wait(puts, soon())) ASSERT_TRUE(status.ok()) << status.to_string();
  std::vector<std::vector<std::byte>> targets(kSmall, std::vector<std::byte>(5000));
  std::vector<GetItem> gets;
  for (std::size_t i = 0; i < kSmall; ++i) gets.push_back({key(i), targets[i]});
  for (const GetOutcome& outcome : client->get_and_wait(gets, soon())) ASSERT_TRUE(outcome.status.ok());
  EXPECT_EQ(targets, values);
}

TEST_P(OneNode, EvictsUnderPressureAndPublishesIt) {
  for (std::uint64_t n = 0; n < 40; ++n) ASSERT_TRUE(client.put(n, noise(kMiB, n)).ok());
  for (std::uint64_t n = 0; n < 40; ++n) {
    const auto got = client.get(n, kMiB);
    ASSERT_EQ(got.ok(), n >= 24) << n << ": " << got.status().to_string();
    if (got.ok()) {
      EXPECT_EQ(*got, noise(kMiB, n));
    }
    EXPECT_EQ(client.locate(n).empty(), n < 24);
  }
}

TEST_P(OneNode, ABatchOfMoreThanThePoolSucceedsPieceByPiece) {
  std::vector<std::vector<std::byte>> values;
  std::vector<PutItem> puts;
  for (std::uint64_t n = 0; n < 40; ++n) values.push_back(noise(kMiB, n));
  for (std::uint64_t n = 0; n < 40; ++n) puts.push_back({key(n), values[n], crc32c(values[n])});
  for (const Status& status : client->put_and_wait(puts, soon())) EXPECT_TRUE(status.ok()) << status.to_string();
  EXPECT_EQ(node.metric("mooncake_store_node_objects"), 16);
}

TEST_P(OneNode, APoolFullOfOneSizeTakesAnother) {
  for (std::uint64_t n = 0; n < 20; ++n) ASSERT_TRUE(client.put(n, noise(kMiB, n)).ok());
  for (std::uint64_t n = 100; n < 200; ++n) ASSERT_TRUE(client.put(n, noise(1000, n)).ok());
  ASSERT_TRUE(client.put(300, noise(15 * kMiB, 300)).ok());
  EXPECT_EQ(*client.get(300, 15 * kMiB), noise(15 * kMiB, 300));
  EXPECT_EQ(client.put(301, noise(17 * kMiB, 301)).code(), Code::kExhausted);
  EXPECT_EQ(*client.get(300, 15 * kMiB), noise(15 * kMiB, 300)) << "what can never fit evicts nothing";
}

TEST_P(OneNode, RacingPutsOfOneKeyBothSucceedAndOneWins) {
  TestClient other(master.name(), "", GetParam());
  for (std::uint64_t round = 0; round < 20; ++round) {
    const std::vector<std::byte> ours = noise(200'000, 2 * round);
    const std::vector<std::byte> theirs = noise(200'000, 2 * round + 1);
    auto racing = std::async(std::launch::async, [&] { return other.put(round, theirs); });
    EXPECT_TRUE(client.put(round, ours).ok());
    EXPECT_TRUE(racing.get().ok());
    const auto got = client.get(round, ours.size());
    ASSERT_TRUE(got.ok()) << got.status().to_string();
    EXPECT_TRUE(*got == ours || *got == theirs);
    EXPECT_EQ(*other.get(round, ours.size()), *got);
  }
}

TEST_P(OneNode, BadSizesAreInvalidArguments) {
  EXPECT_EQ(client.put(1, {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(client.get(1, 0).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(client->put_and_wait({}, soon()).empty());
  EXPECT_TRUE(client->get_and_wait({}, soon()).empty());
}

TEST_P(OneNode, MalformedMessagesAreRefused) {
  for (const std::uint16_t method : {kMethodPut, kMethodGet}) {
    const auto answer = client.process().ask(node.process(), method, "\xff\xff\xff not a message");
    EXPECT_EQ(answer.status().code(), Code::kInvalidArgument);
  }
  const transfer::PeerHandle peer = *client.process()->connect(master.name());
  for (const std::uint16_t method : {kMethodJoin, kMethodHeartbeat, kMethodPublish, kMethodLocate, kMethodWatch}) {
    const auto answer = client.process()->call_and_wait(peer, method, "\xff\xff\xff not a message", soon());
    EXPECT_EQ(answer.status().code(), Code::kInvalidArgument) << method;
  }
}

INSTANTIATE_TEST_SUITE_P(Transports, OneNode, testing::Values(true, false),
                         [](const auto& transport) { return transport.param ? "shm" : "tcp"; });

// A request whose pull cannot end, because the caller's own engine never answers it, would hold its memory for ever;
// the caller's death ends it.
TEST(Store, AClientThatDiesInAGetLetsGoOfItsPins) {
  TestMaster master;
  TestStoreNode node("node-0", master.name(), 4 * kMiB, false);
  TestClient survivor(master.name(), "", false);
  ASSERT_TRUE(eventually([&] { return node.joined(); }));
  for (int round = 0; round < 10; ++round) {
    for (std::uint64_t n = 0; n < 4; ++n) ASSERT_TRUE(survivor.put(100 * round + n, noise(kMiB, n)).ok());
    {
      TestClient victim(master.name(), "", false);
      std::vector<std::vector<std::byte>> targets(4, std::vector<std::byte>(kMiB));
      std::vector<GetItem> gets;
      for (std::uint64_t n = 0; n < 4; ++n) gets.push_back({key(100 * round + n), targets[n]});
      auto ended = std::make_unique<std::promise<void>>();
      const std::future<void> over = ended->get_future();
      victim->get(std::move(gets), soon(),
                  [ended = std::move(ended)](const std::vector<GetOutcome>&) { ended->set_value(); });
      victim.process().drain();
      victim.kill();
      over.wait();  // answered, cancelled, or thrown away with the engine: the targets are ours again
    }
    ASSERT_TRUE(survivor.put(100 * round + 50, noise(4 * kMiB, 9)).ok()) << "the whole pool can be had";
  }
}

TEST(Store, ANodeThatDiesTurnsItsObjectsIntoMissesAtOnce) {
  TestMaster master;
  TestStoreNode node("node-0", master.name(), 4 * kMiB);
  TestClient client(master.name());
  ASSERT_TRUE(eventually([&] { return node.joined(); }));
  ASSERT_TRUE(client.put(1, noise(kMiB, 1)).ok());
  node.kill();
  EXPECT_EQ(client.get(1, kMiB).status().code(), Code::kNotFound);
  EXPECT_TRUE(eventually([&] { return client.locate(1).empty(); }));
  EXPECT_EQ(client.put(2, noise(10, 2)).code(), Code::kUnavailable);
}

TEST(Store, ReadersFailOverToTheOtherReplicaAndPutsToTheOtherNode) {
  TestMaster master;
  TestStoreNode first("node-0", master.name(), 4 * kMiB);
  TestStoreNode second("node-1", master.name(), 4 * kMiB);
  ASSERT_TRUE(eventually([&] { return first.joined() && second.joined(); }));
  TestClient client(master.name(), "node-0");
  const std::vector<std::byte> value = noise(kMiB, 1);
  ASSERT_TRUE(client.put(1, value).ok());
  EXPECT_EQ(client.locate(1), std::vector<std::string>{"node-0"});
  TestClient other(master.name(), "node-1");
  ASSERT_TRUE(other.put(1, value).ok());
  EXPECT_EQ(client.locate(1), std::vector<std::string>{"node-0"}) << "a put finds that there is a copy already";
  ASSERT_TRUE(other->replicate_and_wait({{key(1), value, crc32c(value)}}, soon())[0].ok());
  EXPECT_EQ(client.locate(1), (std::vector<std::string>{"node-0", "node-1"}));
  first.kill();
  EXPECT_EQ(*client.get(1, kMiB), value);
  EXPECT_TRUE(client.put(2, noise(kMiB, 2)).ok());
  EXPECT_EQ(client.locate(2), std::vector<std::string>{"node-1"});
}

TEST(Store, ACopyGoesToThePreferredNodeOrNowhere) {
  TestMaster master;
  TestStoreNode node("node-0", master.name(), 4 * kMiB);
  ASSERT_TRUE(eventually([&] { return node.joined(); }));
  const std::vector<std::byte> value = noise(kMiB, 1);
  const std::vector<PutItem> items = {{key(1), value, crc32c(value)}};
  TestClient anywhere(master.name());
  EXPECT_EQ(anywhere->replicate_and_wait(items, soon())[0].code(), Code::kUnavailable);
  TestClient elsewhere(master.name(), "node-1");
  EXPECT_EQ(elsewhere->replicate_and_wait(items, soon())[0].code(), Code::kUnavailable);
  EXPECT_TRUE(anywhere.locate(1).empty());
  TestClient here(master.name(), "node-0");
  EXPECT_TRUE(here->replicate_and_wait(items, soon())[0].ok());
  EXPECT_TRUE(here->replicate_and_wait(items, soon())[0].ok()) << "it is there";
  EXPECT_EQ(anywhere.locate(1), std::vector<std::string>{"node-0"});
}

TEST(Store, RacingPutsOnDifferentNodesLeaveOneValue) {
  TestMaster master;
  TestStoreNode first("node-0", master.name(), 8 * kMiB);
  TestStoreNode second("node-1", master.name(), 8 * kMiB);
  ASSERT_TRUE(eventually([&] { return first.joined() && second.joined(); }));
  TestClient client(master.name(), "node-0");
  TestClient other(master.name(), "node-1");
  for (std::uint64_t round = 0; round < 20; ++round) {
    const std::vector<std::byte> ours = noise(100'000, 2 * round);
    const std::vector<std::byte> theirs = noise(100'000, 2 * round + 1);
    auto racing = std::async(std::launch::async, [&] { return other.put(round, theirs); });
    EXPECT_TRUE(client.put(round, ours).ok());
    EXPECT_TRUE(racing.get().ok());
    EXPECT_EQ(client.locate(round).size(), 1u) << "a copy with other bytes was dropped";
    const auto got = client.get(round, ours.size());
    ASSERT_TRUE(got.ok()) << got.status().to_string();
    EXPECT_TRUE(*got == ours || *got == theirs);
    EXPECT_EQ(*other.get(round, ours.size()), *got);
  }
}

TEST(Store, WhileTheMasterIsAwayKnownObjectsAreServedAndPutsFailSoon) {
  TestMaster master;
  TestStoreNode node("node-0", master.name(), 4 * kMiB);
  TestClient client(master.name());
  ASSERT_TRUE(eventually([&] { return node.joined(); }));
  const std::vector<std::byte> value = noise(kMiB, 1);
  ASSERT_TRUE(client.put(1, value).ok());
  master.kill();
  EXPECT_EQ(*client.get(1, kMiB), value);
  const Instant before = std::chrono::steady_clock::now();
  EXPECT_EQ(client.put(2, noise(10, 2)).code(), Code::kUnavailable);
  EXPECT_EQ(client.get(3, 10).status().code(), Code::kNotFound);
  EXPECT_LT(std::chrono::steady_clock::now() - before, Seconds(3));
  EXPECT_TRUE(eventually([&] { return !node.joined(); }));
}

TEST(Store, ARestartedMasterLearnsEverythingAgain) {
  TestMaster master;
  TestStoreNode node("node-0", master.name(), 32 * kMiB);
  TestClient client(master.name());
  ASSERT_TRUE(eventually([&] { return node.joined(); }));
  std::vector<std::vector<std::byte>> values;
  std::vector<PutItem> puts;
  for (std::uint64_t n = 0; n < 2'000; ++n) values.push_back(noise(1'000 + n, n));
  for (std::uint64_t n = 0; n < 2'000; ++n) puts.push_back({key(n), values[n], crc32c(values[n])});
  for (const Status& status : client->put_and_wait(puts, soon())) ASSERT_TRUE(status.ok()) << status.to_string();
  for (int restart = 0; restart < 2; ++restart) {
    master.restart();
    const std::vector<std::string> there{"node-0"};
    ASSERT_TRUE(eventually([&] { return client.locate(1'999) == there && client.locate(0) == there; }));
    ASSERT_TRUE(eventually([&] { return node.joined(); }));
    TestClient newcomer(master.name());
    for (const std::uint64_t n : {0, 7, 1'000, 1'999}) EXPECT_EQ(*newcomer.get(n, 1'000 + n), values[n]);
    EXPECT_TRUE(client.put(10'000 + static_cast<std::uint64_t>(restart), noise(10, 1)).ok());
  }
}

TEST(Store, ReclaimInTheBackgroundKeepsThePoolBelowItsWatermark) {
  TestMaster master;
  TestStoreNode node("node-0", master.name(), 8 * kMiB, true, 16u << 10, 0.5);
  TestClient client(master.name());
  ASSERT_TRUE(eventually([&] { return node.joined(); }));
  for (std::uint64_t n = 0; n < 8; ++n) ASSERT_TRUE(client.put(n, noise(kMiB, n)).ok());
  EXPECT_TRUE(eventually([&] { return node.metric("mooncake_store_node_objects") == 4; }));
  EXPECT_TRUE(eventually([&] { return client.locate(3).empty(); }));
  for (std::uint64_t n = 4; n < 8; ++n) EXPECT_EQ(*client.get(n, kMiB), noise(kMiB, n));
}

TEST(Store, ANodeEvictsByThePolicyItIsGiven) {
  for (const std::string_view eviction : {"lru", "fifo"}) {
    TestMaster master;
    TestStoreNode node("node-0", master.name(), 4 * kMiB, true, 16u << 10, 1.0, eviction);
    ASSERT_TRUE(eventually([&] { return node.joined(); }));
    TestClient client(master.name());
    for (std::uint64_t n = 0; n < 4; ++n) ASSERT_TRUE(client.put(n, noise(kMiB, n)).ok());
    ASSERT_TRUE(client.get(0, kMiB).ok());
    ASSERT_TRUE(client.put(4, noise(kMiB, 4)).ok());
    EXPECT_EQ(client.locate(0).empty(), eviction == "fifo");
    EXPECT_EQ(client.locate(1).empty(), eviction == "lru");
  }
}

TEST(Store, ANodeRefusesAPolicyThatItCannotFollow) {
  TestNode process(transfer_config("node-0", true));
  Metrics metrics;
  NodeConfig config;
  config.name = "node-0";
  config.master = "127.0.0.1:1";
  config.eviction = "length-aware";
  const Status refused = NodeService::create(config, process.engine(), process.loop(), metrics).status();
  EXPECT_EQ(refused.code(), Code::kInvalidArgument);
  EXPECT_NE(refused.message().find("s3fifo"), std::string::npos);
}

TEST(Store, NobodyNeedsTheMasterToStart) {
  TestMaster master;
  const std::string name = master.name();
  master.kill();
  TestStoreNode node("node-0", name, 4 * kMiB);
  TestClient client(name);
  EXPECT_EQ(client.get(1, 10).status().code(), Code::kNotFound);
  EXPECT_EQ(client.put(1, noise(10, 1)).code(), Code::kUnavailable);
  EXPECT_FALSE(node.joined());
  master.restart();
  ASSERT_TRUE(eventually([&] { return node.joined(); }));
  EXPECT_TRUE(client.put(1, noise(10, 1)).ok());
}

TEST(Store, AClientThatEndsCallsBackWithCancelled) {
  TestMaster master;
  TestStoreNode node("node-0", master.name(), 16 * kMiB);
  TestClient client(master.name());
  ASSERT_TRUE(eventually([&] { return node.joined(); }));
  const std::vector<std::byte> value = noise(8 * kMiB, 1);
  for (std::uint64_t round = 0; round < 10; ++round) {
    TestClient brief(master.name());
    transfer::Later<std::vector<Status>> statuses;
    brief->put({{key(round), value, crc32c(value)}}, soon(), statuses.setter());
    brief.kill_store();
    const Status status = statuses.get()[0];
    EXPECT_TRUE(status.ok() || status.code() == Code::kCancelled) << status.to_string();
  }
}

// A node that lies: it answers every get with other bytes than it claims.
TEST(Store, AClientBelievesNoNodeItsBytes) {
  TestMaster master;
  TestNode liar(transfer_config("liar"));
  std::atomic<int> asked{0};
  liar->serve(kMethodGet, [&](transfer::PeerHandle, const std::string& payload, transfer::Responder responder) {
    ++asked;
    pb::GetRequest request;
    EXPECT_TRUE(request.ParseFromString(payload));
    pb::GetReply reply;
    for (const pb::GetRequest::Item& item : request.items()) {
      pb::GetReply::Item& answer = *reply.add_items();
      answer.set_crc32c(12345);
      if (item.inline_value()) answer.set_value(std::string(item.bytes(), 'x'));
    }
    responder.reply(reply.SerializeAsString());
  });
  const transfer::PeerHandle peer = *liar->connect(master.name());
  pb::JoinRequest join;
  join.mutable_member()->set_role("node");
  join.mutable_member()->set_name("liar");
  join.mutable_member()->set_endpoint(liar->name());
  pb::JoinReply joined;
  ASSERT_TRUE(joined.ParseFromString(*liar->call_and_wait(peer, kMethodJoin, join.SerializeAsString(), soon())));
  pb::PublishRequest publish;
  publish.set_session(joined.session());
  add_key(*publish.mutable_keys(), key(1));
  publish.add_crc32c(12345);
  publish.add_stored(true);
  ASSERT_TRUE(liar->call_and_wait(peer, kMethodPublish, publish.SerializeAsString(), soon()).ok());
  TestClient client(master.name());
  ASSERT_EQ(client.locate(1), std::vector<std::string>{"liar"});
  for (const std::size_t bytes : {std::size_t{10}, kMiB}) {
    EXPECT_EQ(client.get(1, bytes).status().code(), Code::kCorrupt);
  }
  EXPECT_EQ(asked, 4) << "each size twice: once more with the node checking itself";
}

// Gets, puts and evictions from several clients over keys that all share: whatever comes back is right, or a miss.
TEST(Store, NeverAWrongByteUnderEvictionAndRaces) {
  TestMaster master;
  TestStoreNode first("node-0", master.name(), 3 * kMiB);
  TestStoreNode second("node-1", master.name(), 3 * kMiB, false);
  ASSERT_TRUE(eventually([&] { return first.joined() && second.joined(); }));
  const auto size = [](std::uint64_t n) { return std::size_t{1} + splitmix64(n) % 200'000; };
  std::atomic<int> hits{0};
  const auto work = [&](std::uint64_t seed) {
    TestClient client(master.name(), seed % 2 == 0 ? "node-0" : "node-1", seed != 3);
    Rng rng(seed);
    for (int step = 0; step < 60; ++step) {
      std::vector<std::uint64_t> numbers;
      for (int i = 0; i < 5; ++i) numbers.push_back(rng.below(80));
      std::vector<std::vector<std::byte>> buffers;
      for (const std::uint64_t n : numbers) buffers.emplace_back(size(n));
      std::vector<GetItem> gets;
      for (std::size_t i = 0; i < numbers.size(); ++i) gets.push_back({key(numbers[i]), buffers[i]});
      const std::vector<GetOutcome> outcomes = client->get_and_wait(gets, soon());
      std::vector<PutItem> puts;
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        const std::vector<std::byte> expected = noise(size(numbers[i]), numbers[i]);
        if (outcomes[i].status.ok()) {
          ++hits;
          ASSERT_EQ(buffers[i], expected);
          continue;
        }
        ASSERT_EQ(outcomes[i].status.code(), Code::kNotFound) << outcomes[i].status.to_string();
        buffers[i] = expected;
        puts.push_back({key(numbers[i]), buffers[i], crc32c(buffers[i])});
      }
      for (const Status& status : client->put_and_wait(puts, soon())) {
        ASSERT_TRUE(status.ok() || status.code() == Code::kExhausted) << status.to_string();
      }
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) threads.emplace_back(work, seed);
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(hits, 50);
  EXPECT_GT(first.metric("mooncake_store_node_evictions_total") + second.metric("mooncake_store_node_evictions_total"),
            0);
}

}  // namespace
}  // namespace mooncake::store
