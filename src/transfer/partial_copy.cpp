#include "rtl/transfer/partial_copy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/layers/initialization.hpp"

namespace rtl::transfer {
namespace {

struct Pair {
  std::string name;
  Tensor *from, *to;
};

/// A layer with weights, and the norms behind it.
struct Group {
  std::string name;
  std::int64_t outputs = 0;
  std::vector<Pair> tensors;
};

std::string module_of(const std::string& tensor) {
  const std::size_t dot = tensor.rfind('.');
  return dot == std::string::npos ? tensor : tensor.substr(0, dot);
}

/// Parameters in their order, each module's buffers behind them.
std::vector<Pair> pairs_of(const layers::ModuleState& from, const layers::ModuleState& to) {
  std::vector<Pair> pairs;
  const auto add = [&](const std::vector<layers::NamedParameter>& a, const std::vector<layers::NamedParameter>& b) {
    for (std::size_t k = 0; k < std::max(a.size(), b.size()); ++k) {
      if (k < a.size() && k < b.size() && a[k].name == b[k].name && a[k].value().shape() == b[k].value().shape()) {
        pairs.push_back({a[k].name, &a[k].value(), &b[k].value()});
        continue;
      }
      throw ShapeError(fmt::format("copy_part: the networks differ in {}", (k < a.size() ? a[k] : b[k]).name));
    }
  };
  add(from.parameters, to.parameters);
  add(from.buffers, to.buffers);
  return pairs;
}

std::vector<Group> groups_of(const layers::ModuleState& from, const layers::ModuleState& to) {
  std::vector<Group> groups;
  std::map<std::string, std::size_t> owner;  // of modules
  for (Pair& pair : pairs_of(from, to)) {
    const std::string module = module_of(pair.name);
    auto found = owner.find(module);
    if (found == owner.end()) {
      const bool behind = pair.from->rank() == 1 && !groups.empty() && groups.back().outputs == pair.from->extent(0);
      if (!behind) groups.push_back({module, pair.from->extent(0), {}});
      found = owner.emplace(module, groups.size() - 1).first;
    }
    groups[found->second].tensors.push_back(std::move(pair));
  }
  return groups;
}

std::int64_t share_of(double fraction, std::int64_t units) {
  // A product that roundoff keeps below a whole number is that number.
  return static_cast<std::int64_t>(std::floor(fraction * static_cast<double>(units) + 1e-9));
}

/// A share of 0 .. units - 1, ascending.
std::vector<std::int64_t> chosen(const PartialCopyOptions& options, std::int64_t units, const std::string& name) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(units));
  std::iota(all.begin(), all.end(), 0);
  if (options.order == CopyOrder::random) {
    all = RandomSequence(options.seed, layers::stream_of("partial copy " + name)).permutation(units);
  }
  all.resize(static_cast<std::size_t>(share_of(options.fraction, units)));
  std::sort(all.begin(), all.end());
  return all;
}

/// For each group, the block that it is part of.
std::vector<std::size_t> blocks_of(const std::vector<Group>& groups, const std::vector<std::string>& names) {
  std::vector<std::size_t> blocks;
  std::map<std::string, std::size_t> numbers;
  for (const Group& group : groups) {
    const auto within = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
      return group.name == name || group.name.starts_with(name + ".");
    });
    const std::string& block = within == names.end() ? group.name : *within;
    blocks.push_back(numbers.emplace(block, numbers.size()).first->second);
  }
  return blocks;
}

/// The rows of each group that are to be copied.
std::vector<std::vector<std::int64_t>> chosen_rows(const std::vector<Group>& groups, const PartialCopyOptions& options,
                                                   const std::vector<std::string>& names) {
  std::vector<std::vector<std::int64_t>> rows(groups.size());
  if (options.unit == CopyUnit::filters) {
    for (std::size_t k = 0; k < groups.size(); ++k) rows[k] = chosen(options, groups[k].outputs, groups[k].name);
    return rows;
  }
  std::vector<std::size_t> units(groups.size());
  std::iota(units.begin(), units.end(), 0);
  if (options.unit == CopyUnit::blocks) units = blocks_of(groups, names);
  const auto count = static_cast<std::int64_t>(*std::max_element(units.begin(), units.end()) + 1);
  const std::vector<std::int64_t> taken = chosen(options, count, "units");
  for (std::size_t k = 0; k < groups.size(); ++k) {
    if (!std::binary_search(taken.begin(), taken.end(), static_cast<std::int64_t>(units[k]))) continue;
    rows[k].resize(static_cast<std::size_t>(groups[k].outputs));
    std::iota(rows[k].begin(), rows[k].end(), 0);
  }
  return rows;
}

}  // namespace

std::string PartialCopy::to_text() const {
  std::string text;
  for (const Layer& layer : layers) text += fmt::format("{}: {} of {}\n", layer.name, layer.rows.size(), layer.outputs);
  return text;
}

PartialCopy copy_part(layers::Network& from, layers::Network& to, const PartialCopyOptions& options) {
  if (!(options.fraction >= 0 && options.fraction <= 1)) {
    throw ValueError(fmt::format("copy_part: a fraction of {}; it must be in [0, 1]", options.fraction));
  }
  layers::ModuleState source, target;
  from.visit_trunk("", source);
  to.visit_trunk("", target);
  if (options.head) {
    from.visit_head("", source);
    to.visit_head("", target);
  }
  const std::vector<Group> groups = groups_of(source, target);
  const std::vector<std::vector<std::int64_t>> rows = chosen_rows(groups, options, from.layer_names());
  PartialCopy report;
  for (std::size_t k = 0; k < groups.size(); ++k) {
    PartialCopy::Layer layer{groups[k].name, rows[k], groups[k].outputs, {}};
    for (const Pair& pair : groups[k].tensors) {
      const std::int64_t width = pair.from->count() / pair.from->extent(0);
      report.copied += static_cast<std::int64_t>(rows[k].size()) * width;
      report.numbers += pair.from->count();
      layer.tensors.push_back(pair.name);
      for (const std::int64_t row : rows[k]) {
        copy_bytes(pair.from->view().slice(0, row, row + 1), pair.to->view().slice(0, row, row + 1));
      }
    }
    report.layers.push_back(std::move(layer));
  }
  return report;
}

}  // namespace rtl::transfer
