// A test double of libibverbs (libibverbs.so.1) with one simulated device, "sim0", whose queue pairs reach each other
// inside one process. It is for what soft-RoCE cannot do: memory of GPUs, by dma-bufs of the driver's double
// (tests/cuda/). It is strict where hardware is:
//
// - A registration with a window on it cannot be ended.
// - A range is checked against the registration or window that its key names, and against its rights; a wrong one ends
//   both queue pairs.
// - A dma-buf is registered with the rights that ibv_reg_dmabuf_mr(3) allows, at an address with the same offset in a
//   page; no window can be bound to it. Its bytes are reached by the descriptor alone: it begins at the descriptor's
//   position, by agreement between the two doubles.
// - What is written to a dma-buf is given to the driver's double, which shows it to its GPU when that orders such
//   writes, or is flushed; but the completion comes at once.
//
// Operations run inside the call that posts them, unless they are held back. simulated_verbs_...() are for tests.
// Thread-safe: one lock.
#include <dlfcn.h>
#include <infiniband/verbs.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr int kDmaBufRights =
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC;

struct Region : ibv_mr {
  std::uint64_t begin = 0;  // as operations name it
  std::byte* at = nullptr;  // where its bytes are
  int access = 0;
  void* mapping = nullptr;  // of a dma-buf
  std::size_t mapped = 0;
};

struct Pair;
struct Window : ibv_mw {
  Pair* pair = nullptr;   // bound to it
  std::uint32_t key = 0;  // as bound: ibv_mw's rkey is the program's own note, which it may write at any time
  Region* region = nullptr;
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
  unsigned access = 0;
};

struct Channel : ibv_comp_channel {
  std::deque<ibv_cq*> events;
};
struct Queue : ibv_cq {
  std::deque<ibv_wc> completions;
  bool armed = false;
};
/// Room for what a peer sends.
struct Receive {
  std::uint64_t id = 0;
  ibv_sge into{};  // empty: for immediate data alone
};
struct Pair : ibv_qp {
  std::uint32_t peer = 0;
  std::deque<Receive> receives;
};

/// A range of memory, as one end sees it.
struct Reach {
  std::byte* at = nullptr;
  bool gpu = false;
};

struct State {
  std::mutex mutex;
  std::set<Region*> regions;
  std::set<Window*> windows;
  std::map<std::uint32_t, Pair*> pairs;
  std::deque<std::pair<std::uint32_t, ibv_send_wr>> held;  // by number of the pair; with its one piece
  std::deque<ibv_sge> held_pieces;
  bool hold = false;
  bool has_windows = true;
  int dmabuf_error = 0;
  std::uint32_t last_number = 100;
  ibv_device device{};
  ibv_device* list[2] = {nullptr, nullptr};
};

State& state() {
  static State& it = *new State;
  return it;
}

void complete(ibv_cq* to, ibv_wc done) {
  auto* const queue = static_cast<Queue*>(to);
  queue->completions.push_back(done);
  if (!queue->armed) return;
  queue->armed = false;
  auto* const channel = static_cast<Channel*>(queue->channel);
  channel->events.push_back(queue);
  static_cast<void>(::eventfd_write(channel->fd, 1));
}

void finish(Pair& pair, const ibv_send_wr& work, ibv_wc_status status) {
  ibv_wc done{};
  done.wr_id = work.wr_id;
  done.status = status;
  done.qp_num = pair.qp_num;
  if (status != IBV_WC_SUCCESS || (work.send_flags & IBV_SEND_SIGNALED) != 0) complete(pair.send_cq, done);
  if (status != IBV_WC_SUCCESS) pair.state = IBV_QPS_ERR;
}

bool inside(std::uint64_t begin, std::uint64_t bytes, std::uint64_t address, std::uint64_t length) {
  return address >= begin && length <= bytes && address - begin <= bytes - length;
}

bool reach(const Region& region, std::uint64_t address, std::uint64_t length, Reach& out) {
  if (!inside(region.begin, region.length, address, length)) return false;
  out = {region.at + (address - region.begin), region.mapping != nullptr};
  return true;
}

bool reach_local(const State& s, const ibv_pd* domain, const ibv_sge& piece, Reach& out) {
  for (const Region* region : s.regions) {
    if (region->lkey == piece.lkey && region->pd == domain) return reach(*region, piece.addr, piece.length, out);
  }
  return false;
}

bool reach_remote(const State& s, const Pair& target, std::uint32_t key, std::uint64_t address, std::uint64_t length,
                  unsigned right, Reach& out) {
  for (const Window* window : s.windows) {
    if (window->key != key || window->pair != &target) continue;
    return (window->access & right) != 0 && inside(window->begin, window->bytes, address, length) &&
           reach(*window->region, address, length, out);
  }
  for (const Region* region : s.regions) {
    if (region->rkey != key || region->pd != target.pd) continue;
    return (static_cast<unsigned>(region->access) & right) != 0 && reach(*region, address, length, out);
  }
  return false;
}

void put(const Reach& to, const std::byte* from, std::size_t bytes) {
  using Post = void (*)(void*, const void*, std::size_t);
  static const auto post = reinterpret_cast<Post>(::dlsym(RTLD_DEFAULT, "simulated_cuda_post_write"));
  static const auto here = reinterpret_cast<Post>(
      post != nullptr ? nullptr
                      : ::dlsym(::dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD), "simulated_cuda_post_write"));
  if (to.gpu) return (post != nullptr ? post : here)(to.at, from, bytes);
  std::memcpy(to.at, from, bytes);
}

/// The peer's room is taken, and filled with what is sent; what was written is in place already.
ibv_wc_status receive(const State& s, Pair& pair, Pair& target, const ibv_send_wr& work) {
  const Receive room = target.receives.front();
  target.receives.pop_front();
  const bool sent = work.opcode == IBV_WR_SEND_WITH_IMM && work.num_sge == 1;
  const ibv_sge piece = sent ? *work.sg_list : ibv_sge{};
  if (sent) {
    Reach from{.at = reinterpret_cast<std::byte*>(piece.addr)};
    Reach to;
    const bool is_inline = (work.send_flags & IBV_SEND_INLINE) != 0;
    if (!is_inline && !reach_local(s, pair.pd, piece, from)) return IBV_WC_LOC_PROT_ERR;
    if (piece.length > room.into.length || !reach_local(s, target.pd, room.into, to)) return IBV_WC_REM_INV_REQ_ERR;
    std::memcpy(to.at, from.at, piece.length);
  }
  ibv_wc done{};
  done.wr_id = room.id;
  done.byte_len = piece.length;
  done.opcode = work.opcode == IBV_WR_SEND_WITH_IMM ? IBV_WC_RECV : IBV_WC_RECV_RDMA_WITH_IMM;
  done.wc_flags = IBV_WC_WITH_IMM;
  done.imm_data = work.imm_data;
  done.qp_num = target.qp_num;
  complete(target.recv_cq, done);
  return IBV_WC_SUCCESS;
}

ibv_wc_status move(State& s, Pair& pair, Pair& target, const ibv_send_wr& work) {
  const bool write = work.opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
  const ibv_sge piece = work.num_sge == 1 ? *work.sg_list : ibv_sge{};
  Reach local;
  Reach remote;
  if (!reach_local(s, pair.pd, piece, local)) return IBV_WC_LOC_PROT_ERR;
  if (!reach_remote(s, target, work.wr.rdma.rkey, work.wr.rdma.remote_addr, piece.length,
                    write ? IBV_ACCESS_REMOTE_WRITE : IBV_ACCESS_REMOTE_READ, remote)) {
    target.state = IBV_QPS_ERR;
    return IBV_WC_REM_ACCESS_ERR;
  }
  if (write) {
    put(remote, local.at, piece.length);
  } else {
    put(local, remote.at, piece.length);
  }
  return IBV_WC_SUCCESS;
}

ibv_wc_status to_peer(State& s, Pair& pair, const ibv_send_wr& work) {
  const auto found = s.pairs.find(pair.peer);
  if (found == s.pairs.end() || found->second->state == IBV_QPS_ERR) return IBV_WC_RETRY_EXC_ERR;
  Pair& target = *found->second;
  const bool immediate = work.opcode != IBV_WR_RDMA_READ;
  if (immediate && target.receives.empty()) return IBV_WC_RNR_RETRY_EXC_ERR;
  if (work.opcode != IBV_WR_SEND_WITH_IMM) {
    const ibv_wc_status status = move(s, pair, target, work);
    if (status != IBV_WC_SUCCESS) return status;
  }
  return immediate ? receive(s, pair, target, work) : IBV_WC_SUCCESS;
}

ibv_wc_status bind_window(Pair& pair, const ibv_send_wr& work) {
  auto& window = *static_cast<Window*>(work.bind_mw.mw);
  auto& region = *static_cast<Region*>(work.bind_mw.bind_info.mr);
  Reach whole;
  if ((region.access & IBV_ACCESS_MW_BIND) == 0 ||
      !reach(region, work.bind_mw.bind_info.addr, work.bind_mw.bind_info.length, whole)) {
    return IBV_WC_MW_BIND_ERR;
  }
  window.key = work.bind_mw.rkey;
  window.pair = &pair;
  window.region = &region;
  window.begin = work.bind_mw.bind_info.addr;
  window.bytes = work.bind_mw.bind_info.length;
  window.access = work.bind_mw.bind_info.mw_access_flags;
  return IBV_WC_SUCCESS;
}

ibv_wc_status invalidate(const State& s, const Pair& pair, std::uint32_t key) {
  for (Window* window : s.windows) {
    if (window->key != key || window->pair != &pair) continue;
    window->pair = nullptr;
    return IBV_WC_SUCCESS;
  }
  return IBV_WC_LOC_ACCESS_ERR;
}

void execute(State& s, Pair& pair, const ibv_send_wr& work) {
  if (pair.state == IBV_QPS_ERR) return finish(pair, work, IBV_WC_WR_FLUSH_ERR);
  switch (work.opcode) {
    case IBV_WR_BIND_MW:
      return finish(pair, work, bind_window(pair, work));
    case IBV_WR_LOCAL_INV:
      return finish(pair, work, invalidate(s, pair, work.invalidate_rkey));
    case IBV_WR_RDMA_READ:
    case IBV_WR_RDMA_WRITE_WITH_IMM:
    case IBV_WR_SEND_WITH_IMM:
      return finish(pair, work, to_peer(s, pair, work));
    default:
      return finish(pair, work, IBV_WC_LOC_QP_OP_ERR);
  }
}

bool waits(const State& s, const ibv_send_wr& work) {
  return s.hold && (work.opcode == IBV_WR_RDMA_READ || work.opcode == IBV_WR_RDMA_WRITE_WITH_IMM);
}

int post_send(ibv_qp* qp, ibv_send_wr* work, ibv_send_wr** /*bad*/) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  auto& pair = *static_cast<Pair*>(qp);
  if (!waits(s, *work)) {
    execute(s, pair, *work);
    return 0;
  }
  ibv_send_wr later = *work;
  if (later.num_sge == 1) {
    s.held_pieces.push_back(*work->sg_list);  // the caller's is gone by then; a deque moves nothing
    later.sg_list = &s.held_pieces.back();
  }
  s.held.emplace_back(pair.qp_num, later);
  return 0;
}

int post_recv(ibv_qp* qp, ibv_recv_wr* work, ibv_recv_wr** /*bad*/) {
  const std::lock_guard lock(state().mutex);
  static_cast<Pair*>(qp)->receives.push_back(
      {.id = work->wr_id, .into = work->num_sge == 1 ? *work->sg_list : ibv_sge{}});
  return 0;
}

int poll_cq(ibv_cq* cq, int most, ibv_wc* out) {
  const std::lock_guard lock(state().mutex);
  auto& queue = *static_cast<Queue*>(cq);
  int count = 0;
  while (count < most && !queue.completions.empty()) {
    out[count++] = queue.completions.front();
    queue.completions.pop_front();
  }
  return count;
}

int req_notify_cq(ibv_cq* cq, int /*solicited*/) {
  const std::lock_guard lock(state().mutex);
  static_cast<Queue*>(cq)->armed = true;
  return 0;
}

ibv_mw* alloc_mw(ibv_pd* domain, ibv_mw_type type) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  auto* const window = new Window;
  window->context = domain->context;
  window->pd = domain;
  window->type = type;
  window->rkey = ++s.last_number << 8;
  s.windows.insert(window);
  return window;
}

int dealloc_mw(ibv_mw* mw) {
  const std::lock_guard lock(state().mutex);
  auto* const window = static_cast<Window*>(mw);
  state().windows.erase(window);
  delete window;
  return 0;
}

/// Takes the lock.
ibv_mr* add(Region* region, ibv_pd* domain, std::uint64_t begin, std::size_t bytes, int access) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  region->context = domain->context;
  region->pd = domain;
  region->length = bytes;
  region->begin = begin;
  region->access = access;
  region->lkey = region->rkey = ++s.last_number << 8;
  s.regions.insert(region);
  return region;
}

ibv_mr* refuse(int error) {
  errno = error;
  return nullptr;
}

}  // namespace

extern "C" {

// --- For tests.

/// "hold": reads and writes of peers' memory wait until it is 0 again; "windows": the device, if opened from now on,
/// has memory windows; "dmabuf_error": what a registration of a dma-buf fails with, 0: it works.
void simulated_verbs_set(const char* what, int value) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const std::string name = what;
  if (name == "windows") s.has_windows = value != 0;
  if (name == "dmabuf_error") s.dmabuf_error = value;
  if (name != "hold") return;
  s.hold = value != 0;
  if (s.hold) return;
  for (const auto& [number, work] : s.held) {
    const auto found = s.pairs.find(number);
    if (found != s.pairs.end()) execute(s, *found->second, work);
  }
  s.held.clear();
  s.held_pieces.clear();
}
/// "regions", "dmabufs" (regions of GPUs), "windows", "pairs", "held"; -1 else.
long simulated_verbs_count(const char* what) {
  const State& s = state();
  const std::lock_guard lock(state().mutex);
  const std::string name = what;
  long dmabufs = 0;
  for (const Region* region : s.regions) dmabufs += region->mapping != nullptr ? 1 : 0;
  if (name == "regions") return static_cast<long>(s.regions.size());
  if (name == "dmabufs") return dmabufs;
  if (name == "windows") return static_cast<long>(s.windows.size());
  if (name == "pairs") return static_cast<long>(s.pairs.size());
  if (name == "held") return static_cast<long>(s.held.size());
  return -1;
}

// --- The library's own.

ibv_device** ibv_get_device_list(int* count) {
  State& s = state();
  std::snprintf(s.device.name, sizeof s.device.name, "sim0");
  s.list[0] = &s.device;
  *count = 1;
  return s.list;
}
void ibv_free_device_list(ibv_device** /*list*/) {}
const char* ibv_get_device_name(ibv_device* device) { return device->name; }

ibv_context* ibv_open_device(ibv_device* device) {
  auto* const context = new ibv_context{};
  context->device = device;
  context->async_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  context->ops.alloc_mw = alloc_mw;
  context->ops.dealloc_mw = dealloc_mw;
  context->ops.poll_cq = poll_cq;
  context->ops.req_notify_cq = req_notify_cq;
  context->ops.post_send = post_send;
  context->ops.post_recv = post_recv;
  return context;
}
int ibv_close_device(ibv_context* context) {
  ::close(context->async_fd);
  delete context;
  return 0;
}
int ibv_query_device(ibv_context* /*context*/, ibv_device_attr* attributes) {
  *attributes = {};
  attributes->phys_port_cnt = 1;
  attributes->max_qp_rd_atom = attributes->max_qp_init_rd_atom = 16;
  attributes->max_mw = state().has_windows ? 1024 : 0;
  if (state().has_windows) attributes->device_cap_flags = IBV_DEVICE_MEM_WINDOW_TYPE_2B;
  return 0;
}
#undef ibv_query_port
int ibv_query_port(ibv_context* /*context*/, std::uint8_t /*port*/, _compat_ibv_port_attr* out) {
  auto* const attributes = reinterpret_cast<ibv_port_attr*>(out);
  attributes->state = IBV_PORT_ACTIVE;
  attributes->active_mtu = IBV_MTU_4096;
  attributes->link_layer = IBV_LINK_LAYER_ETHERNET;
  attributes->gid_tbl_len = 1;
  return 0;
}
int _ibv_query_gid_ex(ibv_context* /*context*/, std::uint32_t /*port*/, std::uint32_t /*index*/, ibv_gid_entry* entry,
                      std::uint32_t /*flags*/, std::size_t /*bytes*/) {
  static constexpr std::uint8_t kAddress[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 9, 9, 1};
  std::memcpy(entry->gid.raw, kAddress, sizeof kAddress);
  entry->gid_type = IBV_GID_TYPE_ROCE_V2;
  return 0;
}

ibv_pd* ibv_alloc_pd(ibv_context* context) { return new ibv_pd{.context = context, .handle = 0}; }
int ibv_dealloc_pd(ibv_pd* domain) {
  delete domain;
  return 0;
}

#undef ibv_reg_mr
ibv_mr* ibv_reg_mr(ibv_pd* domain, void* address, std::size_t bytes, int access) {
  auto* const region = new Region;
  region->at = static_cast<std::byte*>(address);
  return add(region, domain, reinterpret_cast<std::uint64_t>(address), bytes, access);
}
ibv_mr* ibv_reg_dmabuf_mr(ibv_pd* domain, std::uint64_t offset, std::size_t bytes, std::uint64_t address, int fd,
                          int access) {
  if (state().dmabuf_error != 0) return refuse(state().dmabuf_error);
  if ((access & ~kDmaBufRights) != 0 || offset % kPage != address % kPage) return refuse(EINVAL);
  const off_t begin = ::lseek(fd, 0, SEEK_CUR);
  if (begin < 0) return refuse(EBADF);
  const std::uint64_t skipped = offset % kPage;
  void* const mapping = ::mmap(nullptr, skipped + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                               begin + static_cast<off_t>(offset - skipped));
  if (mapping == MAP_FAILED) return refuse(errno);
  auto* const region = new Region;
  region->mapping = mapping;
  region->mapped = skipped + bytes;
  region->at = static_cast<std::byte*>(mapping) + skipped;
  return add(region, domain, address, bytes, access);
}
int ibv_dereg_mr(ibv_mr* mr) {
  const std::lock_guard lock(state().mutex);
  auto* const region = static_cast<Region*>(mr);
  for (const Window* window : state().windows) {
    if (window->pair != nullptr && window->region == region) return EBUSY;
  }
  if (region->mapping != nullptr) ::munmap(region->mapping, region->mapped);
  state().regions.erase(region);
  delete region;
  return 0;
}

ibv_comp_channel* ibv_create_comp_channel(ibv_context* context) {
  auto* const channel = new Channel;
  channel->context = context;
  channel->fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE);
  return channel;
}
int ibv_destroy_comp_channel(ibv_comp_channel* channel) {
  ::close(channel->fd);
  delete static_cast<Channel*>(channel);
  return 0;
}
ibv_cq* ibv_create_cq(ibv_context* context, int entries, void* user, ibv_comp_channel* channel, int /*vector*/) {
  auto* const queue = new Queue;
  queue->context = context;
  queue->channel = channel;
  queue->cq_context = user;
  queue->cqe = entries;
  return queue;
}
int ibv_destroy_cq(ibv_cq* cq) {
  const std::lock_guard lock(state().mutex);
  std::erase(static_cast<Channel*>(cq->channel)->events, cq);
  delete static_cast<Queue*>(cq);
  return 0;
}
int ibv_get_cq_event(ibv_comp_channel* from, ibv_cq** cq, void** user) {
  const std::lock_guard lock(state().mutex);
  auto& channel = *static_cast<Channel*>(from);
  eventfd_t one = 0;
  while (::eventfd_read(channel.fd, &one) == 0) {
    if (channel.events.empty()) continue;  // of a queue that has gone
    *cq = channel.events.front();
    *user = (*cq)->cq_context;
    channel.events.pop_front();
    return 0;
  }
  return -1;
}
void ibv_ack_cq_events(ibv_cq* /*cq*/, unsigned /*count*/) {}

ibv_qp* ibv_create_qp(ibv_pd* domain, ibv_qp_init_attr* attributes) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  auto* const pair = new Pair;
  pair->context = domain->context;
  pair->qp_context = attributes->qp_context;
  pair->pd = domain;
  pair->send_cq = attributes->send_cq;
  pair->recv_cq = attributes->recv_cq;
  pair->qp_num = ++s.last_number;
  s.pairs[pair->qp_num] = pair;
  return pair;
}
int ibv_modify_qp(ibv_qp* qp, ibv_qp_attr* attributes, int mask) {
  const std::lock_guard lock(state().mutex);
  auto& pair = *static_cast<Pair*>(qp);
  if ((mask & IBV_QP_STATE) != 0) pair.state = attributes->qp_state;
  if ((mask & IBV_QP_DEST_QPN) != 0) pair.peer = attributes->dest_qp_num;
  return 0;
}
int ibv_destroy_qp(ibv_qp* qp) {
  const std::lock_guard lock(state().mutex);
  auto* const pair = static_cast<Pair*>(qp);
  for (Window* window : state().windows) {
    if (window->pair == pair) window->pair = nullptr;
  }
  state().pairs.erase(pair->qp_num);
  delete pair;
  return 0;
}

int ibv_get_async_event(ibv_context* /*context*/, ibv_async_event* /*event*/) {
  errno = EAGAIN;
  return -1;
}
void ibv_ack_async_event(ibv_async_event* /*event*/) {}
const char* ibv_event_type_str(ibv_event_type /*type*/) { return "a simulated event"; }
const char* ibv_wc_status_str(ibv_wc_status status) {
  return status == IBV_WC_REM_ACCESS_ERR ? "remote access error" : "a simulated error";
}

}  // extern "C"
