// Roofline: a cost profile for a model on a machine that nobody has measured, from data sheets and from how near the
// measured cluster of the paper comes to its own.
//
// For a model of P parameters in l layers of width d with k bytes of KVCache a token, on GPUs that together have F
// operations a second and B bytes a second of memory:
//
//   prefill, a token      2 P / (0.51 F)         each parameter is multiplied and added once
//   prefill, a token^2    2 d l / (0.69 F)       a token looks at half of the others, for keys and for values
//   prefill, fixed        0.535 ms l             what a layer costs whatever it computes
//   a step, fixed         2 P / (0.33 B)         each parameter (two bytes) is read once
//   a step, a token       k / (0.57 B)           and the KVCache once
//   a step, a sequence    as a prefilled token, 3.53 times
//   loading, a token      k / (0.96 x 20 GB/s a GPU), what a PCIe 4 host link of the A800 gives; newer ones are faster
//   loading, fixed        26 ms, as measured
//   the network           4 ms, as measured, and 0.87 of what its links have
//
// The factors are those at which LLaMA3-70B on eight A800 gives the constants that were fitted to the paper's
// Figure 14. They hold for other GPUs as far as those are used as well, which nobody promises: such a profile says
// `derived`, and the first requests correct it (cost_model.h). Pure.
// Source: Williams et al., "Roofline", CACM 2009; FAST'25, Figure 14; the vendors' data sheets (dense 16-bit figures).
#pragma once

#include <span>

#include "kvcache/cost_model.h"

namespace mooncake::kvcache {

struct ModelShape {
  std::string_view name;
  double parameters = 0;
  double layers = 0;
  double width = 0;
  double kv_bytes_per_token = 0;
};

/// One GPU, and its share of the node's network.
struct Accelerator {
  std::string_view name;
  double flops_per_s = 0;  ///< dense, 16 bit
  double memory_bytes_per_s = 0;
  double link_bytes_per_s = 0;
};

/// The profile of `model` on `count` of them, named "<model>@<count>x<accelerator>" and marked as derived.
CostProfile roofline_profile(const ModelShape& model, const Accelerator& accelerator, double count);

/// The built-in ones: LLaMA3-70B on eight H800, H100 and H200, and LLaMA3-8B on one A800, H100 and H200.
std::span<const CostProfile> roofline_profiles();

}  // namespace mooncake::kvcache
