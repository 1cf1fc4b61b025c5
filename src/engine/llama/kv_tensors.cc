#include "engine/llama/kv_tensors.h"

#include <ggml-backend.h>
#include <ggml.h>
#include <sys/mman.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>

namespace mooncake::engine::llama {

bool KvTensors::on_node(ggml_tensor* node, bool ask, void* user_data) {
  auto& self = *static_cast<KvTensors*>(user_data);
  if (ask && self.missing_ != 0 && node->op == GGML_OP_SET_ROWS && node->view_src != nullptr) self.see(*node->view_src);
  return !ask;  // when asked: not interested; when told a result (never asked for): go on
}

void KvTensors::see(const ggml_tensor& cache) {
  static constexpr std::string_view kKeys = "cache_k_l";
  static constexpr std::string_view kValues = "cache_v_l";
  const std::string_view name(cache.name);
  if (!name.starts_with(kKeys) && !name.starts_with(kValues)) return;
  std::size_t layer = keys_.size();
  const std::string_view number = name.substr(kKeys.size());
  std::from_chars(number.data(), number.data() + number.size(), layer);
  if (layer >= keys_.size()) return;
  Rows& rows = (name.starts_with(kKeys) ? keys_ : values_)[layer];
  if (missing_ == SIZE_MAX) missing_ = 2 * keys_.size();
  if (rows.data == nullptr) --missing_;
  rows.data = static_cast<std::byte*>(cache.data);
  rows.row_bytes = ggml_row_size(cache.type, cache.ne[0]);
  rows.row_stride = cache.nb[1];
  rows.stream_stride = cache.nb[2];
  rows.bytes = ggml_nbytes(&cache);
  rows.plain = cache.type == GGML_TYPE_F16 && cache.buffer != nullptr && ggml_backend_buffer_is_host(cache.buffer) &&
               rows.row_stride == rows.row_bytes;
}

bool KvTensors::matches(const StateCodec& codec) const {
  if (missing_ != 0 || codec.layers().size() != keys_.size()) return false;
  for (std::size_t layer = 0; layer < keys_.size(); ++layer) {
    if (!keys_[layer].plain || keys_[layer].row_bytes != codec.layers()[layer].key_bytes) return false;
    if (!values_[layer].plain || values_[layer].row_bytes != codec.layers()[layer].value_bytes) return false;
  }
  return true;
}

void KvTensors::copy_rows(std::uint32_t stream, std::uint32_t position, std::uint32_t rows, const StateCodec& codec,
                          std::byte* block) const {
  for (std::uint32_t layer = 0; layer < keys_.size(); ++layer) {
    copy(keys_[layer], stream, position, rows, block + codec.key_offset(layer));
    copy(values_[layer], stream, position, rows, block + codec.value_offset(layer));
  }
}

void KvTensors::copy(const Rows& rows, std::uint32_t stream, std::uint32_t position, std::uint32_t count,
                     std::byte* target) {
  const std::byte* const source = rows.data + stream * rows.stream_stride + position * rows.row_stride;
  std::memcpy(target, source, count * rows.row_bytes);
}

void KvTensors::release_pages() const {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const auto release = [page](const Rows& rows) {
    void* begin = rows.data;
    std::size_t bytes = rows.bytes;
    if (std::align(page, page, begin, bytes) == nullptr) return;  // no whole page
    // Private anonymous memory reads as zero afterwards, which is what llama.cpp had written. Failure costs memory
    // only.
    madvise(begin, bytes / page * page, MADV_DONTNEED);
  };
  for (const Rows& rows : keys_) release(rows);
  for (const Rows& rows : values_) release(rows);
}

}  // namespace mooncake::engine::llama
