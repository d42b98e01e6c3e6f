#include "rtl/data/stress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <span>
#include <utility>

#include "data/class_rows.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/memory.hpp"
#include "rtl/core/random.hpp"
#include "rtl/data/split.hpp"

namespace rtl::data {
namespace {

/// Philox streams of the draws here.
constexpr std::uint64_t confusion_stream = 0x636f6e66;
constexpr std::uint64_t imbalance_stream = 0x696d6261;
constexpr std::uint64_t few_stream = 0x66657772;
constexpr std::uint64_t noise_stream = 0x6e6f6973;

using Rows = std::vector<std::int64_t>;

/// `count` of the rows, different ones where there are enough.
void add_drawn(Rows& chosen, const Rows& rows, std::int64_t count, RandomSequence& random) {
  const auto available = static_cast<std::int64_t>(rows.size());
  if (count > available) {
    for (std::int64_t i = 0; i < count; ++i) chosen.push_back(rows[random.below(rows.size())]);
    return;
  }
  const Rows order = random.permutation(available);
  for (std::int64_t i = 0; i < count; ++i) {
    chosen.push_back(rows[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])]);
  }
}

Rows shuffled(const Rows& rows, RandomSequence& random) {
  Rows mixed;
  mixed.reserve(rows.size());
  for (const std::int64_t i : random.permutation(static_cast<std::int64_t>(rows.size()))) {
    mixed.push_back(rows[static_cast<std::size_t>(i)]);
  }
  return mixed;
}

/// Of each class its share of `count`, by largest remainders, one at least where `count` allows.
std::vector<std::int64_t> shares(const std::vector<Rows>& rows, std::int64_t samples, std::int64_t count) {
  const auto occurring = std::count_if(rows.begin(), rows.end(), [](const Rows& own) { return !own.empty(); });
  std::vector<std::int64_t> share(rows.size(), 0);
  std::int64_t left = count;
  for (std::size_t c = 0; c < rows.size(); ++c) {
    share[c] = count * static_cast<std::int64_t>(rows[c].size()) / samples;
    if (share[c] == 0 && !rows[c].empty() && count >= occurring) share[c] = 1;
    left -= share[c];
  }
  // How much of a class is wanted beyond what it has, in units of 1 / samples.
  const auto wanted = [&](std::size_t c) {
    return count * static_cast<std::int64_t>(rows[c].size()) - share[c] * samples;
  };
  for (; left != 0; left += left > 0 ? -1 : 1) {
    std::size_t chosen = rows.size();
    for (std::size_t c = 0; c < rows.size(); ++c) {
      const bool possible = left > 0 ? share[c] < static_cast<std::int64_t>(rows[c].size()) : share[c] > 1;
      const bool better = chosen == rows.size() || (left > 0 ? wanted(c) > wanted(chosen) : wanted(c) < wanted(chosen));
      if (possible && better) chosen = c;
    }
    share[chosen] += left > 0 ? 1 : -1;
  }
  return share;
}

/// Normal draws, scaled for each column, rounded and cut off for grey levels.
void add_noise(std::span<const std::uint8_t> pixels, double deviation, RandomSequence& random, std::uint8_t* to) {
  for (const std::uint8_t pixel : pixels) {
    *to++ = static_cast<std::uint8_t>(std::clamp(std::round(pixel + 127.5 * deviation * random.normal()), 0.0, 255.0));
  }
}

void add_noise(std::span<const float> values, std::size_t columns, double deviation, RandomSequence& random,
               float* to) {
  const auto rows = static_cast<double>(values.size() / columns);
  std::vector<double> means(columns, 0.0), squares(columns, 0.0);
  for (std::size_t i = 0; i < values.size(); ++i) means[i % columns] += values[i] / rows;
  for (std::size_t i = 0; i < values.size(); ++i)
    squares[i % columns] += std::pow(values[i] - means[i % columns], 2) / rows;
  for (std::size_t i = 0; i < values.size(); ++i) {
    to[i] = static_cast<float>(values[i] + deviation * std::sqrt(squares[i % columns]) * random.normal());
  }
}

constexpr std::pair<std::int32_t, std::int32_t> pairs_of_10[] = {{3, 5}, {4, 7}, {1, 9}, {0, 8}};
constexpr std::pair<std::int32_t, std::int32_t> pairs_of_100[] = {
    {0, 52},  {1, 31},  {2, 99},  {3, 96},  {4, 54},  {5, 24},  {6, 7},   {8, 47},  {9, 27},  {10, 60},
    {11, 34}, {12, 16}, {13, 57}, {14, 18}, {15, 30}, {17, 36}, {19, 37}, {20, 45}, {23, 78}, {25, 44},
    {26, 28}, {29, 94}, {32, 48}, {33, 65}, {35, 49}, {38, 39}, {40, 88}, {41, 97}, {42, 87}, {43, 77},
    {46, 51}, {53, 61}, {55, 56}, {58, 59}, {62, 63}, {64, 79}, {66, 72}, {67, 68}, {69, 91}, {70, 71},
    {73, 74}, {75, 80}, {76, 98}, {81, 82}, {83, 84}, {89, 90}, {93, 95}};
constexpr std::int64_t counts_of_10[] = {3500, 3000, 1000, 700, 600, 450, 300, 200, 150, 100};

/// count * samples / of, rounded, 1 at least.
std::int64_t in_proportion(std::int64_t count, std::int64_t samples, std::int64_t of) {
  return std::max<std::int64_t>(1, (2 * count * samples + of) / (2 * of));
}

}  // namespace

ClassPairs confusion_pairs(std::int64_t classes) {
  if (classes < 2) throw ValueError(fmt::format("confusion_pairs: of {} classes none can be confused", classes));
  if (classes == 10) return {std::begin(pairs_of_10), std::end(pairs_of_10)};
  if (classes == 100) return {std::begin(pairs_of_100), std::end(pairs_of_100)};
  ClassPairs pairs;
  for (std::int32_t c = 0; c + 1 < classes; c += 2) pairs.emplace_back(c, c + 1);
  return pairs;
}

std::vector<std::int32_t> confused_labels(std::span<const std::int32_t> labels, const ClassPairs& pairs,
                                          double probability, std::uint64_t seed) {
  if (!(probability >= 0 && probability <= 1)) {
    throw ValueError(fmt::format("confused_labels: the probability {} is not in [0, 1]", probability));
  }
  std::map<std::int32_t, std::int32_t> partner;
  for (const auto& [a, b] : pairs) {
    if (a < 0 || b < 0 || a == b || !partner.emplace(a, b).second || !partner.emplace(b, a).second) {
      throw ValueError(
          fmt::format("confused_labels: the pair {}-{}: each class may have one partner, another class", a, b));
    }
  }
  const Philox draws(seed, confusion_stream);
  std::vector<std::int32_t> confused(labels.begin(), labels.end());
  for (std::size_t i = 0; i < confused.size(); ++i) {
    const auto found = partner.find(confused[i]);
    if (found != partner.end() && draws.uniform_double(i) < probability) confused[i] = found->second;
  }
  return confused;
}

std::vector<std::int64_t> published_imbalance(std::span<const std::int32_t> labels, std::int64_t classes) {
  const std::vector<Rows> rows = rows_by_class("published_imbalance", labels, classes);
  const auto samples = static_cast<std::int64_t>(labels.size());
  std::vector<std::int64_t> counts;
  if (classes == 10) {
    for (const std::int64_t count : counts_of_10) counts.push_back(in_proportion(count, samples, 10000));
    return counts;
  }
  if (classes != 100) {
    throw ValueError(fmt::format(
        "published_imbalance: there are numbers for 10 and for 100 classes, not for {}; name them", classes));
  }
  std::int64_t left = in_proportion(10000, samples, 50000);
  for (std::size_t c = 0; c < rows.size(); ++c) {
    const auto wanted = in_proportion(c < 10 ? 400 : 100, samples, 50000);
    counts.push_back(std::min({wanted, static_cast<std::int64_t>(rows[c].size()), left}));
    left -= counts.back();
  }
  return counts;
}

std::vector<std::int64_t> imbalanced_rows(std::span<const std::int32_t> labels, std::int64_t classes,
                                          std::span<const std::int64_t> counts, std::uint64_t seed) {
  const std::vector<Rows> rows = rows_by_class("imbalanced_rows", labels, classes);
  const bool possible = std::all_of(counts.begin(), counts.end(), [](std::int64_t count) { return count >= 0; }) &&
                        std::any_of(counts.begin(), counts.end(), [](std::int64_t count) { return count > 0; });
  if (counts.size() != rows.size() || !possible) {
    throw ValueError(
        fmt::format("imbalanced_rows: {} numbers of samples for {} classes; there must be one for each, none "
                    "negative, and one above 0",
                    counts.size(), classes));
  }
  std::size_t bytes = 0;
  for (std::size_t c = 0; c < rows.size(); ++c) {
    if (counts[c] > 0 && rows[c].empty()) {
      throw ValueError(
          fmt::format("imbalanced_rows: {} samples of class {} are asked for, there are none", counts[c], c));
    }
    bytes += checked_bytes(counts[c], sizeof(std::int64_t));
  }
  Rows chosen;
  with_memory_for("imbalanced_rows", [&] { chosen.reserve(bytes / sizeof(std::int64_t)); });
  for (std::size_t c = 0; c < rows.size(); ++c) {
    RandomSequence random(seed, mix(imbalance_stream, c));
    add_drawn(chosen, rows[c], counts[c], random);
  }
  RandomSequence random(seed, imbalance_stream);
  return shuffled(chosen, random);
}

std::vector<std::int64_t> stratified_subset(std::span<const std::int32_t> labels, std::int64_t classes,
                                            std::int64_t count, std::uint64_t seed) {
  const auto samples = static_cast<std::int64_t>(labels.size());
  if (count < 1 || count > samples) {
    throw ValueError(fmt::format("stratified_subset: {} of {} samples; from 1 to all are possible", count, samples));
  }
  const std::vector<Rows> rows = rows_by_class("stratified_subset", labels, classes);
  const std::vector<std::int64_t> share = shares(rows, samples, count);
  Rows chosen;
  for (std::size_t c = 0; c < rows.size(); ++c) {
    RandomSequence random(seed, mix(few_stream, c));
    add_drawn(chosen, rows[c], share[c], random);
  }
  RandomSequence random(seed, few_stream);
  return shuffled(chosen, random);
}

Dataset with_input_noise(const Dataset& dataset, double deviation, std::uint64_t seed) {
  dataset.check();
  if (!std::isfinite(deviation) || deviation < 0) {
    throw ValueError(fmt::format("with_input_noise: a deviation of {}; it must be finite and not negative", deviation));
  }
  if (dataset.has_tokens()) {
    throw ValueError(fmt::format("with_input_noise: {} has tokens, to which no noise can be added", dataset.name));
  }
  Dataset changed = dataset.clone();
  RandomSequence random(seed, noise_stream);
  const Device device = dataset.device();
  Tensor inputs;              // on the host
  if (dataset.is_sparse()) {  // noise falls on every element
    inputs = dataset.sparse.dense("with_input_noise: noise needs");
    changed.sparse = {};
  } else {
    inputs = std::move(changed.inputs);
  }
  if (device.is_cuda()) inputs = inputs.to(device.host());
  Tensor noisy = Tensor::out_of_core(inputs.shape(), inputs.dtype(), inputs.device());
  const auto all = [&]<typename T>(const T* first) {
    return std::span(first, static_cast<std::size_t>(inputs.count()));
  };
  if (dataset.has_images()) {
    add_noise(all(std::as_const(inputs).data_as<std::uint8_t>()), deviation, random, noisy.data_as<std::uint8_t>());
  } else {
    add_noise(all(std::as_const(inputs).data_as<float>()), static_cast<std::size_t>(inputs.extent(1)), deviation,
              random, noisy.data_as<float>());
  }
  changed.inputs = device.is_cuda() ? noisy.to(device) : std::move(noisy);
  return changed;
}

Dataset stressed(const Dataset& train, const Stress& stress) {
  train.check();
  if (!train.has_labels() && (stress.imbalance || stress.confusion > 0)) {
    throw ValueError(fmt::format("stressed: {} has no classes, which imbalance and confusion are of", train.name));
  }
  Dataset changed = train.clone();
  const auto labels = [&] { return changed.labels.to_vector<std::int32_t>(); };
  if (stress.imbalance) {
    const std::vector<std::int64_t> counts =
        stress.class_counts.empty() ? published_imbalance(labels(), changed.classes) : stress.class_counts;
    changed = changed.subset(imbalanced_rows(labels(), changed.classes, counts, stress.seed));
  }
  if (stress.few > 0) {
    changed =
        changed.subset(changed.has_labels() ? stratified_subset(labels(), changed.classes, stress.few, stress.seed)
                                            : random_subset(changed.size(), stress.few, stress.seed));
  }
  if (stress.confusion > 0) {
    const auto pairs = confusion_pairs(changed.classes);
    changed.labels = Tensor::from(confused_labels(labels(), pairs, stress.confusion, stress.seed), {changed.size()},
                                  changed.labels.device());
  }
  if (stress.input_noise > 0) changed = with_input_noise(changed, stress.input_noise, stress.seed);
  return changed;
}

}  // namespace rtl::data
