// The cache over a table of functions that register nothing, and count.
#include "transfer/rdma/registration_cache.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

namespace mooncake::transfer {
namespace {

std::set<ibv_mr*> regions;  // that are registered now
std::size_t asked = 0;
int next_error = 0;  // of the next registration; 0: it works

ibv_mr* count_registration(ibv_pd*, void* address, std::size_t bytes, int) {
  ++asked;
  errno = next_error;
  if (next_error != 0) return nullptr;
  auto* region = new ibv_mr{};
  region->addr = address;
  region->length = bytes;
  regions.insert(region);
  return region;
}

int count_deregistration(ibv_mr* region) {
  EXPECT_EQ(regions.erase(region), 1u);
  delete region;
  return 0;
}

class Registrations : public testing::Test {
 protected:
  Registrations() {
    asked = 0;
    next_error = 0;
    verbs_.reg_mr = count_registration;
    verbs_.dereg_mr = count_deregistration;
  }
  Result<RegistrationPtr> get(const AreaKey& key, Instant now = {}) { return cache_.get(key, memory_, now); }

  std::array<std::byte, 64> memory_{};
  Verbs verbs_{};
  RegistrationCache cache_{verbs_, nullptr, 0};
};

TEST_F(Registrations, AreaIsRegisteredOnceAndWhole) {
  const AreaKey pool{.segment = {}, .pool = 1};
  const RegistrationPtr first = *get(pool);
  EXPECT_EQ(*get(pool), first);
  EXPECT_EQ(first->region()->length, memory_.size());
  EXPECT_NE(*get({.segment = {1, 1}}), first);
  EXPECT_NE(*get({.segment = {1, 2}}), *get({.segment = {1, 1}}));
  EXPECT_EQ(asked, 3u);
}

TEST_F(Registrations, DroppedAreaIsUnpinnedWhenItsLastUserLetsGo) {
  const AreaKey segment{.segment = {1, 1}};
  RegistrationPtr user = *get(segment);
  cache_.drop(segment);
  EXPECT_EQ(regions.size(), 1u);
  EXPECT_NE(*get(segment), user) << "a new area by that name";
  user.reset();
  EXPECT_EQ(regions.size(), 1u);
  cache_.drop(segment);
  EXPECT_TRUE(regions.empty());
}

TEST_F(Registrations, LimitOfLockedMemoryIsATypedErrorAndIsNotTriedAgainAtOnce) {
  next_error = ENOMEM;
  const AreaKey pool{.segment = {}, .pool = 1};
  const Status status = get(pool).status();
  EXPECT_EQ(status.code(), Code::kExhausted);
  EXPECT_NE(status.message().find("ulimit -l"), std::string::npos);
  next_error = 0;
  EXPECT_EQ(get(pool).status().code(), Code::kExhausted);
  EXPECT_EQ(asked, 1u);
  EXPECT_TRUE(get(pool, Instant{} + kRegistrationRetry).ok());
}

TEST_F(Registrations, RefusalOfTheDeviceIsAnotherError) {
  next_error = EFAULT;
  EXPECT_EQ(get({.segment = {1, 1}}).status().code(), Code::kUnavailable);
}

TEST_F(Registrations, ThereIsALimit) {
  for (std::uint32_t index = 0; index < kRegistrationsMax; ++index) ASSERT_TRUE(get({.segment = {index, 1}}).ok());
  EXPECT_EQ(get({.segment = {kRegistrationsMax, 1}}).status().code(), Code::kExhausted);
  cache_.drop({.segment = {0, 1}});
  EXPECT_TRUE(get({.segment = {kRegistrationsMax, 1}}).ok());
}

}  // namespace
}  // namespace mooncake::transfer
