// Files with secrets: read whole, and only if not everybody could have read them. No message holds a byte of them.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace mooncake::transfer {

/// Chains of certificates are the largest files that anybody names; a secret has 32 bytes.
inline constexpr std::size_t kSecretFileBytesMax = 1u << 20;

/// The bytes of a file that only its owner may read; one of root's also its group, as Kubernetes mounts secrets. `what`
/// names it in messages: "cluster secret".
/// @return kNotFound if it cannot be read, kPermissionDenied if too many may, kInvalidArgument if it is no file or too
/// long. Blocks.
Result<std::string> read_secret_file(const std::string& path, std::string_view what);

}  // namespace mooncake::transfer
