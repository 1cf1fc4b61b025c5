#include "cli/tenants_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "base/text_file.h"

namespace mooncake::cli {
namespace {

using serve::Tenants;

class Reader {
 public:
  explicit Reader(const std::string& name) : name_(name) {}

  Status read(const toml::table& file) {
    for (const auto& [key, node] : file) {
      if (key == "share_cache" && node.is_boolean()) {
        share_cache_ = node.as_boolean()->get();
      } else if (key == "keys" && node.is_table()) {
        for (const auto& [secret, tenant] : *node.as_table()) MC_RETURN_IF_ERROR(read_key(secret, tenant));
      } else if (key != "weights" || !node.is_table()) {
        return wrong(key, "expected share_cache = true or false, a table [keys] or a table [weights]");
      }
    }
    const toml::table* weights = file["weights"].as_table();
    if (weights == nullptr) return {};
    for (const auto& [tenant, weight] : *weights) MC_RETURN_IF_ERROR(read_weight(tenant, weight));
    return {};
  }

  Result<std::shared_ptr<const Tenants>> finish() const { return Tenants::create(tenants_, keys_, share_cache_); }

 private:
  [[nodiscard]] Status wrong(const toml::key& at, std::string_view expected) const {
    return {Code::kInvalidArgument, fmt::format("{}:{}: {}", name_, at.source().begin.line, expected)};
  }

  Status read_key(const toml::key& secret, const toml::node& node) {
    const auto* tenant = node.as_string();
    if (tenant == nullptr)
      return wrong(secret, "expected KEY = \"TENANT\"; a key of more than letters, digits, - and _ in quotes");
    auto known = std::ranges::find(tenants_, tenant->get(), &Tenants::Named::name);
    if (known == tenants_.end()) known = tenants_.insert(known, {.name = tenant->get()});
    keys_.push_back({.key = std::string(secret.str()), .tenant = static_cast<std::size_t>(known - tenants_.begin())});
    return {};
  }

  Status read_weight(const toml::key& tenant, const toml::node& node) {
    const auto known = std::ranges::find(tenants_, tenant.str(), &Tenants::Named::name);
    if (known == tenants_.end()) {
      return wrong(tenant, "a weight for a tenant who has no key");
    }
    const std::int64_t weight = node.is_integer() ? node.as_integer()->get() : 0;
    if (weight < 1 || weight > conductor::kTenantWeightMax) {
      return wrong(tenant, fmt::format("expected a weight from 1 to {}", conductor::kTenantWeightMax));
    }
    known->weight = static_cast<std::uint32_t>(weight);
    return {};
  }

  const std::string& name_;
  bool share_cache_ = false;
  std::vector<Tenants::Named> tenants_;
  std::vector<Tenants::Key> keys_;
};

}  // namespace

Result<std::shared_ptr<const Tenants>> parse_tenants(std::string_view text, const std::string& name) {
  const toml::parse_result parsed = toml::parse(text, name);
  if (!parsed) {
    // The parser's own words may quote a key.
    return Status(Code::kInvalidArgument, fmt::format("{}:{}: not valid TOML, or a name that is there twice", name,
                                                      parsed.error().source().begin.line));
  }
  Reader reader(name);
  MC_RETURN_IF_ERROR(reader.read(parsed.table()));
  auto tenants = reader.finish();
  if (!tenants.ok()) return tenants.status().annotate(name);
  return tenants;
}

Result<std::shared_ptr<const Tenants>> read_tenants(const std::string& path) {
  if (path.empty()) return Tenants::everybody();
  MC_ASSIGN_OR_RETURN(const std::string text, read_text_file(path, kTenantsFileBytesMax, "file of tenants"));
  return parse_tenants(text, path);
}

}  // namespace mooncake::cli
