#include "kvcache/roofline.h"

#include <fmt/core.h>

#include <array>

namespace mooncake::kvcache {
namespace {

// Of LLaMA3-70B on eight A800 (312e12 operations and 2.039e12 bytes a second each), from llama3-70b@8xA800.
constexpr double kPrefillEfficiency = 0.51;    // 2 x 70.6e9 x 1,024 operations in 113.1 ms
constexpr double kAttentionEfficiency = 0.69;  // 2 x 8,192 x 80 x 1,024^2 operations in 0.796 ms
constexpr double kWeightsEfficiency = 0.33;    // 2 x 70.6e9 bytes in 26.2 ms
constexpr double kKvEfficiency = 0.57;         // 1,024 x 320 KiB in 0.036 ms
constexpr double kLayerMs = 0.535;             // 42.8 ms of 80 layers
constexpr double kSequenceTokens = 3.53;       // 0.39 ms of the 113.1 / 1,024 that a prefilled token takes
constexpr double kLoadEfficiency = 0.96;       // 320 KiB at 2.2 / 1,024 ms, of the 160 GB/s that eight host links have
constexpr double kHostLinkBytesPerS = 20e9;    // PCIe 4, a GPU, as far as copies reach it
constexpr double kLinkEfficiency = 0.87;       // 87 GB/s of four links of 200 Gb/s
constexpr double kLoadFixedMs = 26;
constexpr double kLinkLatencyMs = 4;

// 8 heads of 128 keys and as many values of two bytes in every layer.
constexpr double kHeadBytes = 2 * 8 * 128 * 2;
constexpr ModelShape kLlama70b{
    .name = "llama3-70b", .parameters = 70.6e9, .layers = 80, .width = 8192, .kv_bytes_per_token = 80 * kHeadBytes};
constexpr ModelShape kLlama8b{
    .name = "llama3-8b", .parameters = 8.03e9, .layers = 32, .width = 4096, .kv_bytes_per_token = 32 * kHeadBytes};

constexpr double kGbps = 1e9 / 8;
constexpr Accelerator kA800{"A800", 312e12, 2.039e12, 100 * kGbps};
constexpr Accelerator kH800{"H800", 989e12, 3.35e12, 400 * kGbps};
constexpr Accelerator kH100{"H100", 989e12, 3.35e12, 400 * kGbps};
constexpr Accelerator kH200{"H200", 989e12, 4.8e12, 400 * kGbps};

}  // namespace

CostProfile roofline_profile(const ModelShape& model, const Accelerator& accelerator, double count) {
  constexpr double kMs = 1e3;
  const double flops = accelerator.flops_per_s * count;
  const double memory = accelerator.memory_bytes_per_s * count;
  CostProfile profile;
  profile.name = fmt::format("{}@{}x{}", model.name, count, accelerator.name);
  profile.derived = true;
  profile.prefill_fixed_ms = kLayerMs * model.layers;
  profile.prefill_ms_per_token = kMs * 2 * model.parameters / (kPrefillEfficiency * flops);
  profile.prefill_ms_per_token2 = kMs * 2 * model.width * model.layers / (kAttentionEfficiency * flops);
  profile.load_fixed_ms = kLoadFixedMs;
  profile.load_ms_per_token = kMs * model.kv_bytes_per_token / (kLoadEfficiency * kHostLinkBytesPerS * count);
  profile.step_fixed_ms = kMs * 2 * model.parameters / (kWeightsEfficiency * memory);
  profile.step_ms_per_sequence = kSequenceTokens * profile.prefill_ms_per_token;
  profile.step_ms_per_context_token = kMs * model.kv_bytes_per_token / (kKvEfficiency * memory);
  profile.link_latency_ms = kLinkLatencyMs;
  profile.link_bytes_per_ms = kLinkEfficiency * accelerator.link_bytes_per_s * count / kMs;
  profile.kv_bytes_per_token = model.kv_bytes_per_token;
  return profile;
}

std::span<const CostProfile> roofline_profiles() {
  static const std::array profiles = {roofline_profile(kLlama70b, kH800, 8), roofline_profile(kLlama70b, kH100, 8),
                                      roofline_profile(kLlama70b, kH200, 8), roofline_profile(kLlama8b, kA800, 1),
                                      roofline_profile(kLlama8b, kH100, 1),  roofline_profile(kLlama8b, kH200, 1)};
  return profiles;
}

}  // namespace mooncake::kvcache
