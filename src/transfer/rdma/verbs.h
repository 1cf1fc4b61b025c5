// Verbs: libibverbs, opened at run time. A machine without it, or without RDMA devices, runs the same binary.
//
// Only what libibverbs exports stands here. What a device driver does itself (posting, polling, memory windows) is
// reached through the context's own table by the inline functions of <infiniband/verbs.h>, which need no symbol.
#pragma once

#include <infiniband/verbs.h>

#include "base/status.h"

namespace mooncake::transfer {

/// Entry points of libibverbs.so.1, by their names there without "ibv_". Each behaves as its manual page says.
struct Verbs {
  ibv_device** (*get_device_list)(int* count);
  void (*free_device_list)(ibv_device** list);
  const char* (*get_device_name)(ibv_device* device);
  ibv_context* (*open_device)(ibv_device* device);
  int (*close_device)(ibv_context* context);
  int (*query_device)(ibv_context* context, ibv_device_attr* attributes);
  int (*query_port)(ibv_context* context, std::uint8_t port, _compat_ibv_port_attr* attributes);
  int (*query_gid)(ibv_context* context, std::uint32_t port, std::uint32_t index, ibv_gid_entry* entry,
                   std::uint32_t flags, std::size_t entry_bytes);
  ibv_pd* (*alloc_pd)(ibv_context* context);
  int (*dealloc_pd)(ibv_pd* pd);
  ibv_mr* (*reg_mr)(ibv_pd* pd, void* address, std::size_t bytes, int access);
  int (*dereg_mr)(ibv_mr* mr);
  ibv_mr* (*reg_dmabuf_mr)(ibv_pd* pd, std::uint64_t offset, std::size_t bytes, std::uint64_t address, int fd,
                           int access);  ///< null where the library is older than rdma-core 34
  ibv_comp_channel* (*create_comp_channel)(ibv_context* context);
  int (*destroy_comp_channel)(ibv_comp_channel* channel);
  ibv_cq* (*create_cq)(ibv_context* context, int entries, void* user, ibv_comp_channel* channel, int vector);
  int (*destroy_cq)(ibv_cq* cq);
  int (*get_cq_event)(ibv_comp_channel* channel, ibv_cq** cq, void** user);
  void (*ack_cq_events)(ibv_cq* cq, unsigned count);
  ibv_qp* (*create_qp)(ibv_pd* pd, ibv_qp_init_attr* attributes);
  int (*modify_qp)(ibv_qp* qp, ibv_qp_attr* attributes, int mask);
  int (*destroy_qp)(ibv_qp* qp);
  int (*get_async_event)(ibv_context* context, ibv_async_event* event);
  void (*ack_async_event)(ibv_async_event* event);
  const char* (*event_type_str)(ibv_event_type type);
  const char* (*wc_status_str)(ibv_wc_status status);
};

/// The table, loaded once and kept for the life of the process. Thread-safe.
/// @return kUnavailable when the library, or a symbol in the version that this build knows, is missing.
Result<const Verbs*> load_verbs();

}  // namespace mooncake::transfer
