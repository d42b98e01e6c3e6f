// Where data lies: moving data sets between devices and looking at tensors' bytes from the host.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/data/dataset.hpp"
#include "rtl/graph/graph.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/image_augmentation.hpp"
#include "rtl/layers/network.hpp"

namespace rtl::transfer::detail {

/// True if operations on `device` can read what lies on `other`.
inline bool can_read(const Device& device, const Device& other) {
  return (!device.is_cuda() && !other.is_cuda()) || device == other;
}

/// Whether samples are tokens, of which the network may take longer sequences than they are. Throws ValueError, in the
/// name of `call`, where one of the two is of tokens and the other is not, ShapeError for sequences that are too long
/// or of another vocabulary. Shapes of other samples are for the caller to check.
bool check_tokens(const char* call, const data::Dataset& samples, const layers::Architecture& architecture);

/// A view of a data set for work on one device: the set itself where the device can read it, else a copy there.
class ResidentDataset {
 public:
  ResidentDataset(const data::Dataset& dataset, const Device& device);
  ResidentDataset(const ResidentDataset&) = delete;
  ResidentDataset& operator=(const ResidentDataset&) = delete;
  const data::Dataset& operator*() const { return *dataset_; }
  const data::Dataset* operator->() const { return dataset_; }

 private:
  data::Dataset copy_;
  const data::Dataset* dataset_;
};

/// A tensor's bytes on the host: its own if it lies there, else a copy.
class HostBytes {
 public:
  explicit HostBytes(const Tensor& tensor);
  std::span<const std::byte> bytes() const;

 private:
  Tensor copy_;
  const Tensor* tensor_;
};

/// Memory that inputs are gathered from.
struct GatherTable {
  std::string name;
  ConstView memory;
  bool ragged =
      false;  ///< of the entries of sparse rows, of which data sets of equally many samples have their own number
};

/// The network inputs of `rows` (i64, on `device`): normalised images or vectors, or tokens as they are. Works on
/// `device` alone, so several threads may gather from one data set.
class InputGather {
 public:
  /// `dtype` is that of parameters. Vectors that are standardised are so once, in a copy, which of sparse ones is as
  /// sparse. Throws ValueError for
  /// `automatic`, which nothing was fitted for, for standardize on images, and as data::standardized. What lies in a
  /// file is standardised batch by batch where nobody asks for `tables`.
  InputGather(const data::Dataset& dataset, const data::InputNormalization& normalization, DType dtype,
              const Device& device, bool has_tables = true);
  /// In the dtype of parameters, or `activations`, which goes with it; tokens are i32.
  Tensor operator()(ConstView rows, DType activations) const;
  Tensor operator()(ConstView rows) const { return (*this)(rows, dtype_); }

  /// Whether rows come from a file, so that will_need() is of use.
  bool in_file() const { return !dataset_.is_sparse() && dense().in_file(); }
  /// Has the system read those rows.
  void will_need(std::span<const std::int64_t> rows) const noexcept;
  void will_need(std::int64_t begin, std::int64_t end) const noexcept;

  /// Of what is gathered: `activations`, or that of tokens.
  DType dtype(DType activations) const { return dataset_.has_tokens() ? DType::i32 : activations; }

  /// What is gathered from: one table, or the parts of sparse rows.
  std::vector<GatherTable> tables() const;
  /// `tables`, inputs of a graph, are those. Records the inputs of `count` positions of `order` (i64), from the
  /// counters' beginning of the batch on.
  graph::Value record(std::span<const graph::Value> tables, const graph::Value& order, const graph::Value& counters,
                      std::int64_t count, DType activations) const;
  /// The same of images, with what the counters and `name` draw happening to them.
  graph::Value record_augmented(std::span<const graph::Value> tables, const graph::Value& order,
                                const graph::Value& counters, std::int64_t count, DType activations,
                                const kernels::ImageAugmentation& augmentation, const std::string& name) const;

 private:
  kernels::SparseRows entries() const;  ///< as the normalisation has them
  ConstView background() const;
  const Tensor& dense() const { return standardized_.defined() ? standardized_ : dataset_.inputs; }
  Tensor standardized_batch(ConstView rows) const;

  const data::Dataset& dataset_;
  DType dtype_;
  Device device_;
  graph::Value scale(graph::Graph& graph) const { return graph.constant("channel scale", scale_); }
  graph::Value shift(graph::Graph& graph) const { return graph.constant("channel shift", shift_); }

  graph::Storage scale_, shift_;         ///< of images
  Tensor standardized_;                  ///< of vectors, or of the entries of sparse ones ..
  Tensor background_;                    ///< .. which are this elsewhere
  data::InputNormalization of_batches_;  ///< with numbers where batches are standardised
};

/// Those of all samples, f32 [N, p] on `device`, in their order.
Tensor gathered(const kernels::StoredFeatures& features, const Device& device);

/// 0 .. count-1 as i64 on `device`.
Tensor counting_rows(std::int64_t count, const Device& device);

}  // namespace rtl::transfer::detail
