// KvTensors: where llama.cpp keeps the KVCache rows, found by watching one computation.
//
// llama.cpp has no call that names its cache tensors, but it shows every node of a graph to an evaluation callback, and
// the nodes that store new rows (SET_ROWS) are views of "cache_k_l<layer>" and "cache_v_l<layer>". The tensors never
// move afterwards. With one stream a sequence and nothing shifted, the row of a token is at its position. So a block is
// exported by copying its rows, without the copy of the whole sequence that llama.cpp's own call would make.
//
// The engine compares the result with llama.cpp's own state once, at load. Thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "engine/llama/state_codec.h"

struct ggml_tensor;

namespace mooncake::engine::llama {

class KvTensors {
 public:
  explicit KvTensors(std::uint32_t layer_count) : keys_(layer_count), values_(layer_count) {}

  /// ggml_backend_sched_eval_callback; `user_data` is a KvTensors. Never asks to see a result, so it costs a comparison
  /// a node.
  static bool on_node(ggml_tensor* node, bool ask, void* user_data);

  /// True when the tensors of all layers have been seen and their rows are those of `codec`, in host memory.
  [[nodiscard]] bool matches(const StateCodec& codec) const;

  /// Copies `rows` rows from position `position` of `stream` into their places in a block that begins at `position`.
  void copy_rows(std::uint32_t stream, std::uint32_t position, std::uint32_t rows, const StateCodec& codec,
                 std::byte* block) const;

  /// Gives the memory of all rows back to the system; they read as zero. For after the warm-up: a context is as large
  /// as all sequences at full length, and most of it is never used.
  void release_pages() const;

 private:
  struct Rows {
    std::byte* data = nullptr;
    std::size_t row_bytes = 0;
    std::size_t row_stride = 0;
    std::size_t stream_stride = 0;
    std::size_t bytes = 0;  // of all streams
    bool plain = false;     // F16 in host memory, row after row
  };
  void see(const ggml_tensor& cache);
  static void copy(const Rows& rows, std::uint32_t stream, std::uint32_t position, std::uint32_t count,
                   std::byte* target);

  std::vector<Rows> keys_;
  std::vector<Rows> values_;
  std::size_t missing_ = SIZE_MAX;  // tensors not seen yet; set at the first node
};

}  // namespace mooncake::engine::llama
