#include "rtl/transfer/useless_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/io/hash.hpp"

namespace rtl::transfer {
namespace {

/// Philox streams of the draws here.
constexpr std::uint64_t permutation_stream = 0x7065726d;
constexpr std::uint64_t noise_stream = 0x6e6f6973;

Tensor features_of(const std::vector<float>& values, std::int64_t rows, std::int64_t width) {
  return Tensor::from(values, {rows, width}, Device::cpu(1));
}

}  // namespace

FrozenSource permuted_source(const FrozenSource& source, std::uint64_t seed) {
  const auto features = [source, seed](const data::Dataset& dataset) {
    const std::vector<float> values = source.features(dataset).to_vector<float>();
    const auto width = static_cast<std::size_t>(source.feature_count());
    const std::vector<std::int64_t> order = RandomSequence(seed, permutation_stream).permutation(dataset.size());
    std::vector<float> permuted(values.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      std::copy_n(values.begin() + order[i] * source.feature_count(), width, permuted.begin() + i * width);
    }
    return features_of(permuted, dataset.size(), source.feature_count());
  };
  const std::uint64_t identity = io::Hash64().add("permuted").add(source.fingerprint()).add(seed).value();
  return FrozenSource::of_features(source.name() + ", rows permuted", source.feature_count(), features, identity);
}

FrozenSource noise_source(std::int64_t width, std::uint64_t seed) {
  if (width < 1) throw ValueError(fmt::format("noise_source: {} features; one at least is needed", width));
  const auto features = [width, seed](const data::Dataset& dataset) {
    RandomSequence random(mix(seed, noise_stream), dataset.input_hash());
    std::vector<float> values(static_cast<std::size_t>(dataset.size() * width));
    for (float& value : values) value = std::max(0.0F, static_cast<float>(random.normal()));
    return features_of(values, dataset.size(), width);
  };
  const std::uint64_t identity = io::Hash64().add("noise").add(seed).value();
  return FrozenSource::of_features(fmt::format("noise of width {}", width), width, features, identity);
}

FrozenSource scaled_source(const FrozenSource& source, double factor) {
  if (!std::isfinite(factor) || factor == 0) {
    throw ValueError(fmt::format("scaled_source: a factor of {}; it must be finite and not 0", factor));
  }
  const auto features = [source, factor](const data::Dataset& dataset) {
    std::vector<float> values = source.features(dataset).to_vector<float>();
    for (float& value : values) value = static_cast<float>(value * factor);
    return features_of(values, dataset.size(), source.feature_count());
  };
  const std::uint64_t identity =
      io::Hash64().add("scaled").add(source.fingerprint()).add(std::bit_cast<std::uint64_t>(factor)).value();
  return FrozenSource::of_features(fmt::format("{} x {}", source.name(), factor), source.feature_count(), features,
                                   identity);
}

namespace {

enum class Number : std::uint8_t { none, whole, real };

struct Kind {
  std::string_view name;
  Number number;  ///< what stands behind its name
  FrozenSource (*make)(const FrozenSource& source, double number, std::uint64_t seed);
};

constexpr Kind kinds[] = {
    {"permuted", Number::none,
     [](const FrozenSource& source, double, std::uint64_t seed) { return permuted_source(source, seed); }},
    {"noise", Number::whole,
     [](const FrozenSource&, double width, std::uint64_t seed) {
       return noise_source(static_cast<std::int64_t>(width), seed);
     }},
    {"scaled", Number::real,
     [](const FrozenSource& source, double factor, std::uint64_t) { return scaled_source(source, factor); }}};

}  // namespace

FrozenSource useless_source(const FrozenSource& source, const std::string& kind, std::uint64_t seed) {
  const std::size_t colon = std::min(kind.find(':'), kind.size());
  const auto* const found = std::find_if(std::begin(kinds), std::end(kinds),
                                         [&](const Kind& one) { return one.name == kind.substr(0, colon); });
  double number = 0;
  Number given = Number::none;
  bool read = true;
  if (colon < kind.size()) {
    const char* const end = kind.data() + kind.size();
    const auto [rest, error] = std::from_chars(kind.data() + colon + 1, end, number);
    read = error == std::errc() && rest == end;
    given = number == std::floor(number) && std::fabs(number) < 1e9 ? Number::whole : Number::real;
  }
  if (read && found != std::end(kinds)) {
    const bool real = found->number == Number::real && given != Number::none;
    if (real || given == found->number) return found->make(source, number, seed);
  }
  throw ValueError(fmt::format(
      "useless_source: '{}'; permuted, noise:WIDTH and scaled:FACTOR are possible, such as noise:512", kind));
}

}  // namespace rtl::transfer
