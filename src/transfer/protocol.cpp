#include "transfer/protocol.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/joined.hpp"
#include "rtl/io/hash.hpp"

namespace rtl::transfer::detail {
namespace {

const Fact* find(const Facts& facts, const std::string& name) {
  const auto found = std::find_if(facts.begin(), facts.end(), [&](const Fact& fact) { return fact.name == name; });
  return found == facts.end() ? nullptr : &*found;
}

std::string shown(const Fact* fact) {
  if (fact == nullptr) return "none";
  return fact->shown.empty() ? fact->value : fact->shown;
}

std::string difference(const std::string& name, const Fact* here, const Fact* there) {
  const std::string mine = shown(here), other = shown(there);
  if (mine == other) return fmt::format("{} is {}, but with other content there", name, mine);
  return fmt::format("{} is {} here and {} there", name, mine, other);
}

}  // namespace

Fact content_fact(std::string name, std::uint64_t hash, const std::string& shown) {
  return {std::move(name), io::to_hex(hash), io::valid_utf8(shown)};
}

Facts machine_facts(DeviceKind kind, int threads) {
  return {{"version of rtl", RTL_VERSION},
          {"kind of device", kind == DeviceKind::cuda ? "cuda" : "cpu"},
          {"threads", std::to_string(threads)}};
}

std::uint64_t hash_of(const Facts& facts) {
  io::Hash64 hash;
  for (const Fact& fact : facts) hash.add(fact.name).add(fact.value);
  return hash.value();
}

io::Json to_json(const Facts& facts) {
  io::Json json = io::Json::array();
  for (const Fact& fact : facts) {
    json.push_back({{"fact", fact.name}, {"value", fact.value}});
    if (!fact.shown.empty()) json.back()["name"] = fact.shown;
  }
  return json;
}

Facts facts_from(const io::Json& json) {
  Facts facts;
  for (const io::Json& entry : json) {
    facts.push_back({entry.at("fact").get<std::string>(), entry.at("value").get<std::string>(),
                     entry.value("name", std::string())});
  }
  return facts;
}

std::string differences(const Facts& here, const Facts& there) {
  std::string all = differences_in_common(here, there);
  const auto add = [&](const Fact& fact, const Fact* mine, const Fact* other) {
    all += (all.empty() ? "" : "; ") + difference(fact.name, mine, other);
  };
  for (const Fact& fact : here) {
    if (find(there, fact.name) == nullptr) add(fact, &fact, nullptr);
  }
  for (const Fact& fact : there) {
    if (find(here, fact.name) == nullptr) add(fact, nullptr, &fact);
  }
  return all;
}

std::string differences_in_common(const Facts& here, const Facts& there) {
  std::vector<std::string> found;
  for (const Fact& fact : here) {
    const Fact* other = find(there, fact.name);
    if (other != nullptr && other->value != fact.value) found.push_back(difference(fact.name, &fact, other));
  }
  return joined(found, "; ");
}

}  // namespace rtl::transfer::detail
