#include "engine/llama/gguf_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <gguf.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "engine/llama/llama_log.h"

namespace mooncake::engine::llama {
namespace {

constexpr std::string_view kWhatToDo =
    "get the default model with tools/llama/model, or name another GGUF file with --model";
constexpr std::uint32_t kLayersMax = 1024;       // the largest models have about 130
constexpr std::uint32_t kRowBytesMax = 1 << 20;  // 512 Ki values a row; the largest have 16 Ki

struct FreeGguf {
  void operator()(gguf_context* context) const { gguf_free(context); }
};
using Gguf = std::unique_ptr<gguf_context, FreeGguf>;

// The whole file, mapped read-only. The weights are in the page cache for llama.cpp afterwards.
class Mapping {
 public:
  static Result<std::unique_ptr<Mapping>> open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      const Code code = errno == ENOENT || errno == ENOTDIR ? Code::kNotFound : Code::kPermissionDenied;
      return Status(code, fmt::format("model file {}: {}; {}", path, std::strerror(errno), kWhatToDo));
    }
    struct stat facts {};
    auto mapping = std::make_unique<Mapping>();
    if (fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size > 0) {
      void* const data = mmap(nullptr, static_cast<std::size_t>(facts.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
      if (data != MAP_FAILED) {
        mapping->bytes = {static_cast<const std::byte*>(data), static_cast<std::size_t>(facts.st_size)};
      }
    }
    ::close(fd);
    if (mapping->bytes.empty()) {
      return Status(Code::kCorrupt, fmt::format("model file {} is empty or no regular file; {}", path, kWhatToDo));
    }
    return mapping;
  }
  ~Mapping() {
    if (!bytes.empty()) munmap(const_cast<std::byte*>(bytes.data()), bytes.size());
  }

  ConstByteSpan bytes;
};

Status corrupt(const std::string& path, std::string_view why) {
  return Status(Code::kCorrupt, fmt::format("model file {} {}; {}", path, why, kWhatToDo));
}

Status unsupported(const std::string& path, std::string_view why) {
  return Status(Code::kUnsupported, fmt::format("model file {} cannot be served: {}; {}", path, why, kWhatToDo));
}

// The 32-bit value of `key`; a value a layer where the file has an array.
std::uint32_t number(const gguf_context* gguf, const std::string& key, std::uint32_t fallback,
                     std::uint32_t layer = 0) {
  const std::int64_t id = gguf_find_key(gguf, key.c_str());
  if (id < 0) return fallback;
  switch (gguf_get_kv_type(gguf, id)) {
    case GGUF_TYPE_UINT32:
      return gguf_get_val_u32(gguf, id);
    case GGUF_TYPE_INT32:
      return static_cast<std::uint32_t>(std::max(0, gguf_get_val_i32(gguf, id)));
    case GGUF_TYPE_ARRAY: {
      const gguf_type type = gguf_get_arr_type(gguf, id);
      if ((type != GGUF_TYPE_UINT32 && type != GGUF_TYPE_INT32) || layer >= gguf_get_arr_n(gguf, id)) return fallback;
      return static_cast<const std::uint32_t*>(gguf_get_arr_data(gguf, id))[layer];
    }
    default:
      return fallback;
  }
}

std::string text(const gguf_context* gguf, const std::string& key) {
  const std::int64_t id = gguf_find_key(gguf, key.c_str());
  return id >= 0 && gguf_get_kv_type(gguf, id) == GGUF_TYPE_STRING ? gguf_get_val_str(gguf, id) : "";
}

// All tensors lie within the file. llama.cpp would notice too, after allocating for them.
bool is_whole(const gguf_context* gguf, std::size_t file_bytes) {
  const std::size_t data = gguf_get_data_offset(gguf);
  for (std::int64_t i = 0; i < gguf_get_n_tensors(gguf); ++i) {
    const std::size_t begin = data + gguf_get_tensor_offset(gguf, i);
    if (begin > file_bytes || gguf_get_tensor_size(gguf, i) > file_bytes - begin) return false;
  }
  return gguf_get_n_tensors(gguf) > 0;
}

Result<std::vector<LayerRows>> read_layers(const gguf_context* gguf, const std::string& path, const std::string& arch) {
  const std::uint32_t count = number(gguf, arch + ".block_count", 0);
  const std::uint32_t embedding = number(gguf, arch + ".embedding_length", 0);
  if (count == 0 || count > kLayersMax || embedding == 0) return unsupported(path, "its layers are not described");
  std::vector<LayerRows> layers;
  for (std::uint32_t layer = 0; layer < count; ++layer) {
    const std::uint32_t heads = number(gguf, arch + ".attention.head_count", 0, layer);
    if (heads == 0) return unsupported(path, "its attention heads are not described");
    const std::uint64_t kv_heads = number(gguf, arch + ".attention.head_count_kv", heads, layer);
    const std::uint64_t key = kv_heads * number(gguf, arch + ".attention.key_length", embedding / heads) * 2;
    const std::uint64_t value = kv_heads * number(gguf, arch + ".attention.value_length", embedding / heads) * 2;
    if (key == 0 || value == 0 || key > kRowBytesMax || value > kRowBytesMax) {
      return unsupported(path, fmt::format("layer {} has no plain key and value cache", layer));
    }
    layers.push_back({static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(value)});
  }
  return layers;
}

Key128 hash(ConstByteSpan bytes) {
  std::array<unsigned char, 32> digest{};
  CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1);
  Key128 key;
  for (int i = 0; i < 8; ++i) {
    key.high = key.high << 8 | digest[i];
    key.low = key.low << 8 | digest[8 + i];
  }
  return key;
}

}  // namespace

Result<GgufFile> read_gguf(const std::string& path) {
  start_library();
  if (path.empty()) return Status(Code::kNotFound, fmt::format("no model file is named; {}", kWhatToDo));
  MC_ASSIGN_OR_RETURN(const std::unique_ptr<Mapping> mapping, Mapping::open(path));
  if (mapping->bytes.size() < 4 || std::memcmp(mapping->bytes.data(), "GGUF", 4) != 0) {
    return corrupt(path, "is no GGUF file");
  }
  const ErrorCapture errors;
  const Gguf gguf(gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}));
  if (gguf == nullptr) return corrupt(path, fmt::format("has a broken header ({})", errors.reason()));
  if (gguf_get_n_tensors(gguf.get()) == 0) return unsupported(path, "it holds no weights");
  if (!is_whole(gguf.get(), mapping->bytes.size())) return corrupt(path, "is truncated");

  GgufFile file;
  file.id = model_id_from_path(path);
  file.architecture = text(gguf.get(), "general.architecture");
  const std::string& arch = file.architecture;
  if (arch.empty()) return unsupported(path, "it names no architecture");
  if (text(gguf.get(), "tokenizer.ggml.model").empty()) return unsupported(path, "it has no tokenizer");
  if (number(gguf.get(), arch + ".attention.sliding_window", 0) > 0) {
    return unsupported(path,
                       "it attends through a sliding window, and a cached prefix of such a model is not complete");
  }
  file.context_tokens = number(gguf.get(), arch + ".context_length", 0);
  if (file.context_tokens == 0) return unsupported(path, "it names no context length");
  MC_ASSIGN_OR_RETURN(file.layers, read_layers(gguf.get(), path, arch));
  file.content = hash(mapping->bytes);
  return file;
}

std::string model_id_from_path(const std::string& path) {
  std::string id = path.substr(path.find_last_of('/') + 1);
  std::ranges::transform(id, id.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (id.ends_with(".gguf")) id.resize(id.size() - 5);
  // A quantisation is the last part, after '-' or '.': q4_0, q4_k_m, iq2_xs, f16, bf16.
  const std::size_t at = id.find_last_of("-.");
  if (at == std::string::npos || at == 0) return id;
  std::string_view last = std::string_view(id).substr(at + 1);
  for (const std::string_view prefix : {"iq", "q", "bf", "f"}) {
    if (last.starts_with(prefix) && last.size() > prefix.size() &&
        std::isdigit(static_cast<unsigned char>(last[prefix.size()]))) {
      id.resize(at);
      break;
    }
  }
  return id;
}

}  // namespace mooncake::engine::llama
