#include "transfer/auth/certificate_names.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <cctype>
#include <memory>

namespace mooncake::transfer {
namespace {

bool equal_names(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

}  // namespace

std::vector<std::string> certificate_names(const x509_st* certificate) {
  std::vector<std::string> names;
  const std::unique_ptr<GENERAL_NAMES, void (*)(GENERAL_NAMES*)> found(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      [](GENERAL_NAMES* all) { GENERAL_NAMES_free(all); });
  const int count = found ? sk_GENERAL_NAME_num(found.get()) : 0;
  for (int i = 0; i < count && names.size() < kCertificateNamesMax; ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(found.get(), i);
    if (name->type != GEN_DNS) continue;
    const ASN1_IA5STRING* const text = name->d.dNSName;
    names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                       static_cast<std::size_t>(ASN1_STRING_length(text)));
  }
  return names;
}

bool names_node(const std::vector<std::string>& names, std::string_view node) {
  return !node.empty() && std::ranges::any_of(names, [&](std::string_view name) {
    if (name.starts_with("*.")) return true;
    const bool longer = name.size() > node.size() && name[node.size()] == '.';
    return equal_names(longer ? name.substr(0, node.size()) : name, node);
  });
}

}  // namespace mooncake::transfer
