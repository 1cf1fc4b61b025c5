#include "store/wire.h"

namespace mooncake::store {

void to_wire(const Member& member, pb::Member& wire) {
  wire.set_role(member.role);
  wire.set_name(member.name);
  wire.set_endpoint(member.endpoint);
  wire.set_epoch(member.epoch);
  wire.set_attached_node(member.attached_node);
  wire.set_model(member.model);
}

Member from_wire(const pb::Member& wire) {
  return {wire.role(), wire.name(), wire.endpoint(), wire.epoch(), wire.attached_node(), wire.model()};
}

void to_wire(const Status& status, pb::ItemStatus& wire) {
  wire.set_code(static_cast<std::uint32_t>(status.code()));
  if (!status.ok()) wire.set_message(status.message().substr(0, kStatusTextMax));
}

Status from_wire(const pb::ItemStatus& wire) {
  if (wire.code() == 0) return {};
  return {code_from_wire(wire.code()), wire.message()};
}

}  // namespace mooncake::store
