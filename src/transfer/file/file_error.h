// What the system says about a file, as a Status.
#pragma once

#include <string_view>

#include "base/status.h"

namespace mooncake::transfer {

/// `what` says what was tried and on which file ("cannot open /a/b"); `error` is an errno, not 0.
Status file_error(std::string_view what, int error);

}  // namespace mooncake::transfer
