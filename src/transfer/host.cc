#include "transfer/host.h"

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace mooncake::transfer {

std::array<std::byte, 16> read_boot_id() {
  std::array<std::byte, 16> id{};
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/sys/kernel/random/boot_id", "re"),
                                                             &std::fclose);
  if (!file) return id;
  std::size_t digits = 0;
  for (int c = std::fgetc(file.get()); c != EOF && digits < 32; c = std::fgetc(file.get())) {
    if (std::isxdigit(c) == 0) continue;
    const char text[2] = {static_cast<char>(c), '\0'};
    const auto value = static_cast<std::byte>(std::strtoul(text, nullptr, 16));
    id[digits / 2] = (id[digits / 2] << 4) | value;
    ++digits;
  }
  return digits == 32 ? id : std::array<std::byte, 16>{};
}

}  // namespace mooncake::transfer
