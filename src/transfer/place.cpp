#include "transfer/place.hpp"

#include <fmt/format.h>

#include <numeric>
#include <utility>
#include <vector>

#include "rtl/graph/operations.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/sparse.hpp"
#include "rtl/layers/initialization.hpp"

namespace rtl::transfer::detail {

bool check_tokens(const char* call, const data::Dataset& samples, const layers::Architecture& architecture) {
  if (samples.has_tokens() != architecture.takes_tokens()) {
    throw ValueError(fmt::format("{}: the samples of {} are {}, but {} takes {}", call, samples.name,
                                 samples.has_tokens()   ? "tokens of texts"
                                 : samples.has_images() ? "images"
                                                        : "vectors",
                                 architecture.to_string(),
                                 architecture.takes_tokens()      ? "tokens of texts (text:FILE with encode=tokens)"
                                 : architecture.input.rank() == 3 ? "images"
                                                                  : "vectors"));
  }
  if (!samples.has_tokens()) return false;
  if (samples.vocabulary > architecture.vocabulary) {
    throw ShapeError(
        fmt::format("{}: {} has tokens of a vocabulary of {}, but {} takes one of {}; tokenizer=FILE names "
                    "the one that it was trained with",
                    call, samples.name, samples.vocabulary, architecture.to_string(), architecture.vocabulary));
  }
  if (samples.inputs.extent(1) > architecture.input[0]) {
    throw ShapeError(fmt::format("{}: the sequences of {} have up to {} tokens, but {} takes {}; length={} cuts them",
                                 call, samples.name, samples.inputs.extent(1), architecture.to_string(),
                                 architecture.input[0], architecture.input[0]));
  }
  return true;
}

ResidentDataset::ResidentDataset(const data::Dataset& dataset, const Device& device) : dataset_(&dataset) {
  if (can_read(device, dataset.device())) return;
  copy_ = dataset.to(device);
  dataset_ = &copy_;
}

HostBytes::HostBytes(const Tensor& tensor) : tensor_(&tensor) {
  if (!tensor.device().is_cuda()) return;
  copy_ = tensor.to(Device::cpu(1));
  tensor_ = &copy_;
}

std::span<const std::byte> HostBytes::bytes() const {
  return {static_cast<const std::byte*>(tensor_->view().data()), tensor_->bytes()};
}

InputGather::InputGather(const data::Dataset& dataset, const data::InputNormalization& normalization, DType dtype,
                         const Device& device, bool has_tables)
    : dataset_(dataset), dtype_(dtype), device_(device) {
  if (normalization.kind == data::Normalization::automatic) {
    throw ValueError("the input normalisation 'auto' has to be fitted to the training set first: fit_normalization");
  }
  if (dataset.has_tokens()) return;
  if (dataset.has_images()) {
    data::ChannelScaling scaling = data::channel_scaling(normalization.kind, dataset.inputs.extent(3), device, dtype);
    scale_ = graph::Storage(std::move(scaling.scale));
    shift_ = graph::Storage(std::move(scaling.shift));
  } else if (normalization.kind == data::Normalization::standardize) {
    if (!has_tables && dataset.inputs.in_file()) {
      of_batches_ = normalization;
      return;
    }
    try {
      if (dataset.is_sparse()) {
        data::StandardizedEntries entries = data::standardized(dataset.sparse, normalization, dtype, device);
        standardized_ = std::move(entries.values);
        background_ = std::move(entries.background);
      } else {
        standardized_ = data::standardized(dataset.inputs, normalization, dtype, device);
      }
    } catch (const ValueError& error) {
      throw ValueError(fmt::format("data set '{}': {}", dataset.name, error.what()));
    }
  }
}

void InputGather::will_need(std::span<const std::int64_t> rows) const noexcept {
  if (!dataset_.is_sparse()) dense().will_need(rows);
}

void InputGather::will_need(std::int64_t begin, std::int64_t end) const noexcept {
  if (!dataset_.is_sparse()) dense().will_need(begin, end);
}

Tensor InputGather::standardized_batch(ConstView rows) const {
  Tensor batch(dataset_.inputs.shape().with(0, rows.count()), DType::f32, device_);
  kernels::gather_rows(device_, dataset_.inputs, rows, batch);
  try {
    return data::standardized(batch, of_batches_, dtype_, device_);
  } catch (const ValueError&) {
    try {  // names a row of the batch; of all rows the first that is bad is named
      data::standardized(dataset_.inputs, of_batches_, dtype_, device_);
    } catch (const ValueError& error) {
      throw ValueError(fmt::format("data set '{}': {}", dataset_.name, error.what()));
    }
    throw;
  }
}

Tensor InputGather::operator()(ConstView rows, DType activations) const {
  const Shape shape = dataset_.is_sparse() ? Shape{rows.count(), dataset_.sparse.width()}
                                           : dataset_.inputs.shape().with(0, rows.count());
  Tensor out(shape, dtype(activations), device_);
  if (dataset_.is_sparse()) {
    kernels::gather_sparse_rows(device_, entries(), background(), rows, out);
  } else if (dataset_.has_images()) {
    kernels::gather_images(device_, dataset_.inputs, rows, scale_.tensor(), shift_.tensor(), out);
  } else if (!of_batches_.mean.empty()) {
    kernels::gather_rows(device_, standardized_batch(rows), counting_rows(rows.count(), device_), out);
  } else {
    kernels::gather_rows(device_, dense(), rows, out);
  }
  return out;
}

kernels::SparseRows InputGather::entries() const {
  kernels::SparseRows all = dataset_.sparse.view();
  if (standardized_.defined()) all.values = standardized_;
  return all;
}

ConstView InputGather::background() const { return background_.defined() ? background_.view() : ConstView(); }

std::vector<GatherTable> InputGather::tables() const {
  if (!dataset_.is_sparse()) return {{"inputs", dense()}};
  const kernels::SparseRows all = entries();
  std::vector<GatherTable> tables{{"offsets of inputs", all.offsets},
                                  {"columns of inputs", all.columns, true},
                                  {"entries of inputs", all.values, true}};
  if (background_.defined()) tables.push_back({"inputs without an entry", background_});
  return tables;
}

graph::Value InputGather::record(std::span<const graph::Value> tables, const graph::Value& order,
                                 const graph::Value& counters, std::int64_t count, DType activations) const {
  const graph::Value& table = tables.front();
  if (dataset_.is_sparse()) {
    return graph::gather_sparse_batch(
        {table, tables[1], tables[2], background_.defined() ? tables[3] : graph::Value(), dataset_.sparse.width()},
        order, counters, count, activations);
  }
  if (!dataset_.has_images()) {
    return graph::gather_batch(table, order, counters, count, dtype(activations));
  }
  graph::Graph& graph = table.graph();
  return graph::gather_batch_images(table, order, counters, count, scale(graph), shift(graph), activations);
}

graph::Value InputGather::record_augmented(std::span<const graph::Value> tables, const graph::Value& order,
                                           const graph::Value& counters, std::int64_t count, DType activations,
                                           const kernels::ImageAugmentation& augmentation,
                                           const std::string& name) const {
  if (!augmentation.any()) return record(tables, order, counters, count, activations);
  graph::Graph& graph = tables.front().graph();
  return graph::gather_augmented_images(tables.front(), order, counters, count, scale(graph), shift(graph), activations,
                                        augmentation, layers::stream_of(name));
}

Tensor gathered(const kernels::StoredFeatures& features, const Device& device) {
  Tensor all({features.samples(), features.columns()}, DType::f32, device);
  kernels::gather_features(device, features, counting_rows(features.samples(), device), all);
  return all;
}

Tensor counting_rows(std::int64_t count, const Device& device) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return Tensor::from(rows, {count}, device);
}

}  // namespace rtl::transfer::detail
