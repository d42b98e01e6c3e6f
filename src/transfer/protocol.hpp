// The facts that decide a result, in words: what a state file belongs to, and how two protocols differ.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.hpp"
#include "rtl/core/device.hpp"

namespace rtl::transfer::detail {

struct Fact {
  std::string name;        ///< "learning rate"
  std::string value;       ///< what is compared: "0.01", or a hash
  std::string shown = {};  ///< for messages, where the value is a hash: the name of a data set
};
using Facts = std::vector<Fact>;

/// Of data or weights: compared by their hash, shown by their name.
Fact content_fact(std::string name, std::uint64_t hash, const std::string& shown);

/// Version of the library, kind of device, threads: results differ between them in their last digits.
Facts machine_facts(DeviceKind kind, int threads);

/// Names and values, in order.
std::uint64_t hash_of(const Facts& facts);

io::Json to_json(const Facts& facts);
/// Throws what the JSON library throws: to be used within io::decode_json.
Facts facts_from(const io::Json& json);

/// "learning rate is 0.05 here and 0.01 there; threads .."; empty if all names and values are equal.
std::string differences(const Facts& here, const Facts& there);
/// Of the facts that both have.
std::string differences_in_common(const Facts& here, const Facts& there);

}  // namespace rtl::transfer::detail
