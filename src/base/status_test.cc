#include "base/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace mooncake {
namespace {

TEST(Status, SaysItsCodeAndMessage) {
  EXPECT_TRUE(Status().ok());
  EXPECT_EQ(Status().to_string(), "ok");
  const Status lost(Code::kPeerLost, "node-1 closed the connection");
  EXPECT_FALSE(lost.ok());
  EXPECT_EQ(lost.to_string(), "peer_lost: node-1 closed the connection");
}

TEST(Status, AnnotationGoesInFrontAndKeepsTheCode) {
  const Status status = Status(Code::kCorrupt, "checksum").annotate("block 3").annotate("fetch");
  EXPECT_EQ(status.code(), Code::kCorrupt);
  EXPECT_EQ(status.message(), "fetch: block 3: checksum");
  EXPECT_TRUE(Status().annotate("fetch").ok()) << "success has nothing to annotate";
}

TEST(Status, EveryCodeSurvivesTheWireUnderAnOwnName) {
  std::set<std::string_view> names;
  for (std::uint32_t number = 0; number <= 14; ++number) {
    const Code code = code_from_wire(number);
    EXPECT_EQ(static_cast<std::uint32_t>(code), number);
    EXPECT_TRUE(names.insert(code_name(code)).second) << code_name(code);
  }
}

TEST(Status, UnknownNumberFromANewerPeerIsInternal) {
  EXPECT_EQ(code_from_wire(15), Code::kInternal);
  EXPECT_EQ(code_from_wire(0xffffffff), Code::kInternal);
}

Result<int> half(int value) {
  if (value % 2 != 0) return Status(Code::kInvalidArgument, "odd");
  return value / 2;
}

Result<int> quarter(int value) {
  MC_ASSIGN_OR_RETURN(const int halved, half(value));
  MC_ASSIGN_OR_RETURN(const int quartered, half(halved));
  return quartered;
}

Status check_quarter(int value) {
  MC_RETURN_IF_ERROR(quarter(value).status());
  return {};
}

TEST(Result, MacrosPassValuesOnAndErrorsUp) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(check_quarter(8).ok());
  EXPECT_EQ(check_quarter(7).message(), "odd");
}

TEST(Result, CarriesMoveOnlyValues) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  const std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 7);
}

TEST(ResultDeathTest, ValueOfAnErrorIsABugOfOurs) {
  const Result<int> error = half(3);
  EXPECT_DEATH(static_cast<void>(error.value()), "check failed: ok\\(\\)");
}

}  // namespace
}  // namespace mooncake
