#include "transfer/rdma/verbs.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace mooncake::transfer {
namespace {

/// Looks symbols up, and remembers the first that is missing.
class Loader {
 public:
  explicit Loader(void* library) : library_(library) {}

  template <typename Function>
  void load(Function*& into, const char* name, const char* version) {
    load_if_there(into, name, version);
    if (into == nullptr && missing_.empty()) missing_ = fmt::format("{}@{}", name, version);
  }
  template <typename Function>
  void load_if_there(Function*& into, const char* name, const char* version) {
    // The plain name could give the layout of structures that libibverbs 1.0 had.
    into = reinterpret_cast<Function*>(::dlvsym(library_, name, version));
  }
  [[nodiscard]] const std::string& missing() const { return missing_; }

 private:
  void* library_;
  std::string missing_;
};

Result<const Verbs*> load() {
  void* library = ::dlopen("libibverbs.so.1", RTLD_NOW | RTLD_LOCAL);  // never closed: drivers keep threads and state
  if (library == nullptr) return Status(Code::kUnavailable, fmt::format("rdma: {}", ::dlerror()));
  static Verbs verbs;
  Loader loader(library);
  loader.load(verbs.get_device_list, "ibv_get_device_list", "IBVERBS_1.1");
  loader.load(verbs.free_device_list, "ibv_free_device_list", "IBVERBS_1.1");
  loader.load(verbs.get_device_name, "ibv_get_device_name", "IBVERBS_1.1");
  loader.load(verbs.open_device, "ibv_open_device", "IBVERBS_1.1");
  loader.load(verbs.close_device, "ibv_close_device", "IBVERBS_1.1");
  loader.load(verbs.query_device, "ibv_query_device", "IBVERBS_1.1");
  loader.load(verbs.query_port, "ibv_query_port", "IBVERBS_1.1");
  loader.load(verbs.query_gid, "_ibv_query_gid_ex", "IBVERBS_1.11");
  loader.load(verbs.alloc_pd, "ibv_alloc_pd", "IBVERBS_1.1");
  loader.load(verbs.dealloc_pd, "ibv_dealloc_pd", "IBVERBS_1.1");
  loader.load(verbs.reg_mr, "ibv_reg_mr", "IBVERBS_1.1");
  loader.load(verbs.dereg_mr, "ibv_dereg_mr", "IBVERBS_1.1");
  loader.load_if_there(verbs.reg_dmabuf_mr, "ibv_reg_dmabuf_mr", "IBVERBS_1.12");
  loader.load(verbs.create_comp_channel, "ibv_create_comp_channel", "IBVERBS_1.0");
  loader.load(verbs.destroy_comp_channel, "ibv_destroy_comp_channel", "IBVERBS_1.0");
  loader.load(verbs.create_cq, "ibv_create_cq", "IBVERBS_1.1");
  loader.load(verbs.destroy_cq, "ibv_destroy_cq", "IBVERBS_1.1");
  loader.load(verbs.get_cq_event, "ibv_get_cq_event", "IBVERBS_1.1");
  loader.load(verbs.ack_cq_events, "ibv_ack_cq_events", "IBVERBS_1.1");
  loader.load(verbs.create_qp, "ibv_create_qp", "IBVERBS_1.1");
  loader.load(verbs.modify_qp, "ibv_modify_qp", "IBVERBS_1.1");
  loader.load(verbs.destroy_qp, "ibv_destroy_qp", "IBVERBS_1.1");
  loader.load(verbs.get_async_event, "ibv_get_async_event", "IBVERBS_1.1");
  loader.load(verbs.ack_async_event, "ibv_ack_async_event", "IBVERBS_1.1");
  loader.load(verbs.event_type_str, "ibv_event_type_str", "IBVERBS_1.1");
  loader.load(verbs.wc_status_str, "ibv_wc_status_str", "IBVERBS_1.1");
  if (loader.missing().empty()) return &verbs;
  return Status(Code::kUnavailable, fmt::format("rdma: libibverbs.so.1 has no {}: it is too old", loader.missing()));
}

}  // namespace

Result<const Verbs*> load_verbs() {
  static const Result<const Verbs*> loaded = load();
  return loaded;
}

}  // namespace mooncake::transfer
