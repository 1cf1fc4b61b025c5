// Which nodes a certificate is for: the DNS names in its subjectAltName. Addresses are not asked for, because those of
// pods and replaced machines change; a node's name is what its hello says, and what logs and metrics show. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

struct x509_st;

namespace mooncake::transfer {

/// Names of a certificate beyond which the rest is ignored.
inline constexpr std::size_t kCertificateNamesMax = 256;

/// The DNS names in the certificate's subjectAltName; the common name does not count (RFC 9525).
std::vector<std::string> certificate_names(const x509_st* certificate);

/// Whether one of `names` is `node` ("prefill-0"), a domain name that begins with it ("prefill-0.mooncake.svc"), or a
/// wildcard ("*.mooncake.svc"), which stands for every node. Case does not matter.
bool names_node(const std::vector<std::string>& names, std::string_view node);

}  // namespace mooncake::transfer
