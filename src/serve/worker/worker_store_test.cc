// Workers on the real store: what one prefill worker computes another one reuses, and a store that dies costs time
// only.
#include <gtest/gtest.h>

#include "conductor/conductor.h"
#include "serve/messages.h"
#include "serve/worker/test_cluster.h"
#include "store/master/master_service.h"
#include "store/node/node_service.h"

namespace mooncake::serve {
namespace {

class TestMaster : public TestProcess {
 public:
  TestMaster() : TestProcess("master") {
    service_ = std::move(store::MasterService::create({}, transfer(), loop(), metrics())).value();
    loop().start();
  }
  ~TestMaster() override {
    on_loop([this] { service_.reset(); });
    stop();
  }

 private:
  std::unique_ptr<store::MasterService> service_;
};

class TestNode : public TestProcess {
 public:
  TestNode(const std::string& name, const std::string& master) : TestProcess(name) {
    service_ =
        std::move(store::NodeService::create({.name = name, .master = master, .pool_bytes = 64u << 20, .pool = {}},
                                             transfer(), loop(), metrics(), [this] { joined_.set_value(); }))
            .value();
    loop().start();
    joined_.get_future().wait();
  }
  ~TestNode() override {
    on_loop([this] { service_.reset(); });
    stop();
  }

 private:
  std::promise<void> joined_;
  std::unique_ptr<store::NodeService> service_;
};

/// A worker as a process wires it: engine by name, its own store client, joined to the master.
class JoinedWorker : public TestProcess {
 public:
  JoinedWorker(WorkerRole role, const std::string& name, const std::string& master,
               const std::string& attached_node = "node-0")
      : TestProcess(name) {
    const engine::EngineConfig engine{.kind = "simulated",
                                      .model_path = "",
                                      .threads = 1,
                                      .sequences_max = 4,
                                      .context_tokens = 4096,
                                      .chunk_tokens = 256};
    service_ =
        std::move(WorkerService::create({.role = role,
                                         .name = name,
                                         .engine = engine,
                                         .master = master,
                                         .attached_node = attached_node,
                                         .arena_bytes = 64ull << 20},
                                        transfer(), loop(), metrics(), {.joined = [this] { joined_.set_value(); }}))
            .value();
    loop().start();
    joined_.get_future().wait();
  }
  ~JoinedWorker() override {
    on_loop([this] { service_.reset(); });
    stop();
  }

 private:
  std::promise<void> joined_;
  std::unique_ptr<WorkerService> service_;
};

class WorkerStore : public ::testing::Test {
 protected:
  /// Runs the request to its end. @return cached tokens, as the reply says; the answer is checked.
  std::uint32_t serve(const std::string& id, const JoinedWorker& prefill, const std::vector<engine::Token>& prompt) {
    pb::PrefillRequest request;
    request.set_request_id(id);
    for (const engine::Token token : prompt) request.add_tokens(static_cast<std::uint32_t>(token));
    request.mutable_sampling()->set_tokens_max(20);
    request.mutable_sampling()->set_top_p(1);
    request.set_gateway(gateway_.endpoint());
    request.set_decode(decode_.endpoint());
    request.set_deadline_ms(60'000);
    request.set_model(gateway_.stats(prefill.endpoint()).model());
    const auto reply = gateway_.prefill(prefill.endpoint(), request).get();
    EXPECT_TRUE(reply.ok()) << reply.status().to_string();
    if (!reply.ok()) return 0;
    EXPECT_EQ(gateway_.await(id).tokens, reference_answer(prompt, request.sampling()));
    pb::PrefillReply parsed;
    CHECK(parsed.ParseFromString(*reply));
    published_ = parsed.published_blocks();
    return parsed.cached_tokens();
  }

  /// Asks the directory until each of the blocks is on so many nodes.
  void await_holders(const std::vector<Key128>& keys, std::size_t holders) {
    const auto client =
        std::move(store::StoreClient::create({.master = master_.endpoint(), .preferred_node = ""}, gateway_.transfer()))
            .value();
    const Deadline deadline = test_deadline();
    for (bool enough = false; !enough;) {
      ASSERT_LT(SteadyClock().now(), deadline);
      std::promise<Result<std::vector<std::vector<store::Location>>>> located;
      client->locate(keys, deadline, [&](auto found) { located.set_value(std::move(found)); });
      const auto found = located.get_future().get();
      enough = found.ok() && std::ranges::all_of(*found, [=](const auto& on) { return on.size() >= holders; });
    }
  }

  TestMaster master_;
  std::unique_ptr<TestNode> node_ = std::make_unique<TestNode>("node-0", master_.endpoint());
  TestGateway gateway_;
  JoinedWorker prefill0_{WorkerRole::kPrefill, "prefill-0", master_.endpoint()};
  JoinedWorker prefill1_{WorkerRole::kPrefill, "prefill-1", master_.endpoint()};
  JoinedWorker decode_{WorkerRole::kDecode, "decode-0", master_.endpoint()};
  std::uint32_t published_ = 0;
};

TEST_F(WorkerStore, WhatOneWorkerComputedAnotherOneReusesAsSoonAsTheAnswerEnded) {
  const auto prompt = test_prompt(1000, 1);
  EXPECT_EQ(serve("cold", prefill0_, prompt), 0u);
  EXPECT_EQ(published_, 15u);
  EXPECT_EQ(serve("warm", prefill1_, prompt), 936u) << "15 blocks are cached, the last 64 tokens are computed again";
  EXPECT_EQ(published_, 15u);
}

/// Keys of the blocks of `prompt`, for workers of the model with this fingerprint.
std::vector<Key128> keys_of(const std::vector<engine::Token>& prompt, const std::string& fingerprint) {
  const Key128 model{std::stoull(fingerprint.substr(0, 16), nullptr, 16),
                     std::stoull(fingerprint.substr(16), nullptr, 16)};
  return kvcache::block_keys({.model = model, .lora = {}, .tenant = {}}, prompt, 64);
}

TEST_F(WorkerStore, ACopyOnAWorkersOwnNodeIsReusedWhenTheFirstNodeIsGone) {
  const TestNode other("node-1", master_.endpoint());
  const JoinedWorker away(WorkerRole::kPrefill, "prefill-2", master_.endpoint(), "node-1");
  const auto prompt = test_prompt(1000, 1);
  const auto keys = keys_of(prompt, gateway_.stats(away.endpoint()).model());
  const auto replicate = [&] { return gateway_.call(away.endpoint(), kMethodReplicate, encode_replicate(keys)); };
  const auto blocks = [](const Result<std::string>& reply) {
    pb::ReplicateReply parsed;
    EXPECT_TRUE(reply.ok() && parsed.ParseFromString(*reply)) << reply.status().to_string();
    return parsed.blocks();
  };
  EXPECT_EQ(blocks(replicate()), 0u) << "nobody holds them yet";
  EXPECT_EQ(serve("cold", prefill0_, prompt), 0u);
  EXPECT_EQ(blocks(replicate()), 15u);
  EXPECT_EQ(blocks(replicate()), 15u) << "they are there";
  node_.reset();
  EXPECT_EQ(serve("warm", away, prompt), 936u);
}

TEST_F(WorkerStore, WhatWasFetchedStaysWhereItWasUsed) {
  const TestNode other("node-1", master_.endpoint());
  const JoinedWorker away(WorkerRole::kPrefill, "prefill-2", master_.endpoint(), "node-1");
  const auto prompt = test_prompt(1000, 1);
  EXPECT_EQ(serve("cold", prefill0_, prompt), 0u);
  EXPECT_EQ(serve("fetched", away, prompt), 936u);
  await_holders(keys_of(prompt, gateway_.stats(away.endpoint()).model()), 2);
  node_.reset();
  EXPECT_EQ(serve("kept", away, prompt), 936u);
}

TEST_F(WorkerStore, WhatIsNoListOfBlocksIsNotCopied) {
  const auto refusal = [&](const std::string& payload) {
    return gateway_.call(prefill0_.endpoint(), kMethodReplicate, payload).status().code();
  };
  EXPECT_EQ(refusal(""), Code::kInvalidArgument);
  EXPECT_EQ(refusal(encode_replicate(std::vector<Key128>(conductor::kCopyBlocksMax + 1))), Code::kInvalidArgument);
  pb::ReplicateRequest half;
  half.add_keys(1);
  EXPECT_EQ(refusal(half.SerializeAsString()), Code::kInvalidArgument);
}

TEST_F(WorkerStore, WithoutItsNodeAWorkerComputesEverything) {
  const auto prompt = test_prompt(500, 2);
  EXPECT_EQ(serve("before", prefill0_, prompt), 0u);
  node_.reset();
  EXPECT_EQ(serve("after", prefill1_, prompt), 0u);
  EXPECT_EQ(published_, 0u);
  node_ = std::make_unique<TestNode>("node-0", master_.endpoint());
  EXPECT_EQ(serve("empty", prefill1_, prompt), 0u);
  EXPECT_EQ(serve("again", prefill0_, prompt), 436u);
}

}  // namespace
}  // namespace mooncake::serve
