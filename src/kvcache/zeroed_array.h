// ZeroedArray: memory for a large table: all zeros, on cache lines, and on huge pages where it is large enough. A table
// that is read at random places misses the CPU's map of 4 KiB pages at every step; with pages of 2 MiB it takes half
// the time. Large arrays return to the system when they go.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace mooncake::kvcache {

/// `bytes` of zeros, from the start of a cache line. Throws std::bad_alloc, as operator new does.
void* allocate_zeroed(std::size_t bytes);
/// Gives back what allocate_zeroed(bytes) returned.
void free_zeroed(void* memory, std::size_t bytes);

/// Thread-compatible.
template <typename T>
class ZeroedArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  /// `size` elements of zero bytes, at least one.
  explicit ZeroedArray(std::size_t size) : data_(static_cast<T*>(allocate_zeroed(size * sizeof(T)))), size_(size) {}
  ~ZeroedArray() { free_zeroed(data_, size_ * sizeof(T)); }
  ZeroedArray(const ZeroedArray&) = delete;
  ZeroedArray& operator=(const ZeroedArray&) = delete;

  void swap(ZeroedArray& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  T& operator[](std::size_t at) { return data_[at]; }
  const T& operator[](std::size_t at) const { return data_[at]; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] const T* begin() const { return data_; }
  [[nodiscard]] const T* end() const { return data_ + size_; }

 private:
  T* data_;
  std::size_t size_;
};

}  // namespace mooncake::kvcache
