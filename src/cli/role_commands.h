// The processes of a cluster, one function each. Options: the section of the same name.
#pragma once

#include "cli/command.h"

namespace mooncake::cli {

int run_master(const Invocation& invocation);
int run_node(const Invocation& invocation);
int run_worker(const Invocation& invocation);
int run_gateway(const Invocation& invocation);

}  // namespace mooncake::cli
