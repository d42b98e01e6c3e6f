// What is computed from constants once: folded norms, prepared convolutions.
#include "rtl/graph/passes.hpp"
#include "rtl/kernels/norm.hpp"
#include "rtl/kernels/prepared_conv.hpp"
#include "rtl/kernels/prepared_linear.hpp"

namespace rtl::graph {
namespace {

ConstView view_of(const Storage& storage) { return storage.defined() ? ConstView(storage.tensor()) : ConstView(); }
const Tensor* key_of(const Storage& storage) { return storage.defined() ? &storage.tensor() : nullptr; }

}  // namespace

FrozenWeights::Folded FrozenWeights::folded(const std::vector<Storage>& operands, double epsilon) {
  FoldedKey key{{}, epsilon};
  for (const Storage& operand : operands) key.first.push_back(key_of(operand));
  const std::lock_guard lock(mutex_);
  const auto found = folded_.find(key);
  if (found != folded_.end()) return found->second.second;
  const Tensor& w = operands[0].tensor();
  const Device& device = w.device();
  Folded folded{Storage(Tensor(w.shape(), w.dtype(), device)), Storage(Tensor({w.extent(0)}, w.dtype(), device))};
  kernels::fold_batch_norm(device, w, view_of(operands[1]), operands[2].tensor(), operands[3].tensor(),
                           operands[4].tensor(), operands[5].tensor(), epsilon, folded.weight.tensor(),
                           folded.bias.tensor());
  folded_.emplace(std::move(key), std::pair(operands, folded));
  return folded;
}

Storage FrozenWeights::stacked(const std::vector<Storage>& parts) {
  std::vector<const Tensor*> key;
  std::int64_t rows = 0;
  for (const Storage& part : parts) {
    key.push_back(key_of(part));
    rows += part.tensor().extent(0);
  }
  const std::lock_guard lock(mutex_);
  auto& [kept, whole] = stacked_[key];
  if (whole.defined()) return whole;
  const Tensor& first = parts[0].tensor();
  Tensor tensor(first.shape().with(0, rows), first.dtype(), first.device());
  std::int64_t begin = 0;
  for (const Storage& part : parts) {
    const std::int64_t end = begin + part.tensor().extent(0);
    copy_bytes(part.tensor(), tensor.view().slice(0, begin, end));
    begin = end;
  }
  kept = parts;
  whole = Storage(std::move(tensor));
  return whole;
}

std::shared_ptr<const kernels::PreparedLinear> FrozenWeights::prepared(const Storage& w, const Storage& bias,
                                                                       DType inputs) {
  const std::lock_guard lock(mutex_);
  auto& entry = linear_[{key_of(w), key_of(bias), inputs}];
  if (!entry.second) {
    entry = {{w, bias}, std::make_shared<const kernels::PreparedLinear>(w.device(), w.tensor(), view_of(bias), inputs)};
  }
  return entry.second;
}

std::shared_ptr<const kernels::PreparedConv2d> FrozenWeights::prepared(const Storage& w, const Storage& bias,
                                                                       const kernels::Conv2dOptions& options,
                                                                       DType images) {
  const std::lock_guard lock(mutex_);
  auto& entry = prepared_[{key_of(w), key_of(bias), options, images}];
  if (!entry.second) {
    entry = {{w, bias},
             std::make_shared<const kernels::PreparedConv2d>(w.device(), w.tensor(), view_of(bias), options, images)};
  }
  return entry.second;
}

}  // namespace rtl::graph
