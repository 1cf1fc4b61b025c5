#include "transfer/tcp/local_interface.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <cstring>
#include <memory>
#include <string_view>

#include "transfer/fd.h"

namespace mooncake::transfer {
namespace {

Endpoint endpoint_of(const sockaddr* address) {
  Endpoint endpoint;
  endpoint.size = address->sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  std::memcpy(&endpoint.address, address, endpoint.size);
  return with_port(endpoint, 0);
}

}  // namespace

std::string local_interface(int fd) {
  const Result<Endpoint> local = local_endpoint(fd);
  const bool inet = local.ok() && (local->address.ss_family == AF_INET || local->address.ss_family == AF_INET6);
  ifaddrs* list = nullptr;
  if (!inet || is_loopback(*local) || ::getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned(list, &::freeifaddrs);
  const std::string wanted = format_endpoint(with_port(*local, 0));
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != local->address.ss_family) continue;
    if (format_endpoint(endpoint_of(each->ifa_addr)) != wanted) continue;
    const std::string_view labelled = each->ifa_name;
    return std::string(labelled.substr(0, labelled.find(':')));  // "eth0:1" is another address of eth0
  }
  return {};
}

}  // namespace mooncake::transfer
