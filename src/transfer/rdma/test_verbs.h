// For tests: the controls of the test double of libibverbs (tests/rdma/), where it is in place: ctest's
// `transfer_cuda`.
#pragma once

#include <dlfcn.h>

namespace mooncake::transfer {

inline constexpr const char* kSimulatedDevice = "sim0";

struct SimulatedVerbs {
  template <typename Function>
  static Function symbol(const char* name) {
    void* library = ::dlopen("libibverbs.so.1", RTLD_NOW | RTLD_LOCAL);
    return library == nullptr ? nullptr : reinterpret_cast<Function>(::dlsym(library, name));
  }
  static bool here() { return symbol<void*>("simulated_verbs_set") != nullptr; }
  /// See simulated_verbs_set() and simulated_verbs_count().
  static void set(const char* what, int value) {
    symbol<void (*)(const char*, int)>("simulated_verbs_set")(what, value);
  }
  static long count(const char* what) { return symbol<long (*)(const char*)>("simulated_verbs_count")(what); }
};

}  // namespace mooncake::transfer
