# Every dependency, each with the reason it is here. tools/setup installs them by name; THIRD_PARTY.md has the licences.
set(Boost_USE_STATIC_LIBS OFF)

# Asio (I/O, timers, coroutines) and Beast (HTTP/1.1): the sockets and the protocol are not ours to rewrite. Headers only.
find_package(Boost 1.81 REQUIRED)
# SHA-256 for block keys; HMAC, GMAC and TLS 1.3 between transfer engines.
find_package(OpenSSL 3 REQUIRED)
# Message payloads that may evolve field by field between versions of nodes.
find_package(Protobuf 3.21 REQUIRED)
# Flat hash maps for the indexes and a move-only function; only headers and its hash library.
find_package(absl REQUIRED)
# Formatting, where g++ 12 has no std::format; spdlog writes the logs, rotates them, and formats with it.
find_package(fmt 9 REQUIRED)
find_package(spdlog 1.10 REQUIRED)
# Metrics in the Prometheus text format.
find_package(prometheus-cpp REQUIRED CONFIG)
# JSON for the OpenAI protocol, cluster.json, admin pages and benchmark reports.
find_package(nlohmann_json 3.11 REQUIRED)
# Command lines with subcommands.
find_package(CLI11 2.1 REQUIRED)
# The configuration file's format. Headers only.
find_path(TOMLPP_INCLUDE toml++/toml.h REQUIRED)
# CRC-32C at memory speed.
find_library(ISAL_LIBRARY isal REQUIRED)
# What a machine is made of: NUMA nodes, PCI distances of network devices, GPUs and drives. /sys says it differently from
# machine to machine, and wrongly on some; hwloc knows.
find_path(HWLOC_INCLUDE hwloc.h REQUIRED)
find_library(HWLOC_LIBRARY hwloc REQUIRED)
# io_uring for files and block devices: its rings are memory shared with the kernel, whose barriers are not ours to write.
find_library(URING_LIBRARY uring REQUIRED)
# RDMA verbs: types and inline functions only. The library is opened at run time where there is an RDMA device, so that
# the binary runs where it is not installed.
find_path(VERBS_INCLUDE infiniband/verbs.h REQUIRED)
# Unit tests.
find_package(GTest 1.12 REQUIRED)

find_package(Threads REQUIRED)
# The inference engine: llama.cpp computes the models, we own scheduling, KVCache transfer and reuse. It promises no ABI,
# so it is pinned, built from source and linked statically.
include(llama)
