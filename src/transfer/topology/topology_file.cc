#include "transfer/topology/topology_file.h"

#include "base/text_file.h"
#include "transfer/topology/topology_json.h"

namespace mooncake::transfer {

Result<Topology> read_topology_file(const std::string& path) {
  MC_ASSIGN_OR_RETURN(const std::string text, read_text_file(path, kTopologyBytesMax, "topology"));
  auto parsed = parse_topology(text);
  if (!parsed.ok()) return parsed.status().annotate(path);
  return parsed;
}

}  // namespace mooncake::transfer
