// How stored inputs become network inputs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::data {

struct Dataset;
class SparseRows;

/// none, half, imagenet, lite and cifar are fixed numbers for u8 images, as (value * scale[c] + shift[c]) per channel;
/// standardize has numbers fitted to the columns of f32 vectors. Vectors are used as they are by every other kind.
enum class Normalization : std::uint8_t {
  none,         ///< images: v / 255
  half,         ///< (v / 255 - 0.5) / 0.5
  imagenet,     ///< (v / 255 - mean) / std, mean 0.485 0.456 0.406, std 0.229 0.224 0.225
  lite,         ///< images: (v - 127) / 128, EfficientNet-Lite's
  cifar,        ///< mean 0.4914 0.4822 0.4465, std 0.2470 0.2435 0.2616
  standardize,  ///< vectors: (v - mean) / deviation of each column
  automatic     ///< to ask for: half for images, standardize for vectors
};
/// "none", "half", "imagenet", "lite", "cifar", "standardize", "auto". Parsing throws ValueError.
std::string to_string(Normalization normalization);
Normalization parse_normalization(const std::string& text);

/// scale and shift for `channels` channels, as f32 or f64 tensors [channels], rounded from double. imagenet and cifar
/// exist for 3 channels; for 1 channel their mean over channels is used. Throws ValueError for other numbers of
/// channels.
struct ChannelScaling {
  Tensor scale;
  Tensor shift;
};
ChannelScaling channel_scaling(Normalization normalization, std::int64_t channels, const Device& device,
                               DType dtype = DType::f32);

/// A normalisation with all that applying it takes. Kept with the network that was trained on it.
struct InputNormalization {
  Normalization kind = Normalization::none;  ///< not `automatic`
  std::vector<double> mean;                  ///< standardize: one a column; else empty
  std::vector<double> deviation;             ///< standardize: positive, one a column; else empty
  /// Columns, from 0, that had one value alone in the rows it was fitted to. Not kept in files.
  std::vector<std::int64_t> constant_columns = {};

  InputNormalization() = default;
  /// Implicit: the kinds for images need no more.
  // NOLINTNEXTLINE(google-explicit-constructor)
  InputNormalization(Normalization kind_) : kind(kind_) {}
  /// standardize with these numbers. Throws ValueError unless there is one of each for every column, means are finite
  /// and deviations finite and positive.
  InputNormalization(std::vector<double> mean_, std::vector<double> deviation_);

  /// Of all that decides the result.
  std::uint64_t hash() const;
  friend bool operator==(const InputNormalization& a, const InputNormalization& b) {
    return a.kind == b.kind && a.mean == b.mean && a.deviation == b.deviation;
  }
};
std::string to_string(const InputNormalization& normalization);

/// What `asked` comes to for a training set: `automatic` is half for images, standardize for vectors, and of sparse
/// rows standardize with means of 0 and each column's largest magnitude as its deviation; else standardize gets the
/// mean and population deviation over the rows, and 1 for the deviation of a constant column. Two passes in double on
/// the host: the same numbers on every device, and no digits lost to an offset; of sparse rows those of the dense ones
/// but for rounding. Throws ValueError for standardize on images, half, imagenet, lite or cifar on vectors, vectors
/// without a row, and values that are not finite.
InputNormalization fit_normalization(const Dataset& train, Normalization asked = Normalization::automatic);

/// (v - mean) / deviation for f32 inputs [N, p] on any device, rounded once from double to `dtype` (f32 or f64), on
/// `device`. Throws ShapeError for another number of columns, ValueError, naming sample and column, for a result that
/// is not finite.
Tensor standardized(const Tensor& inputs, const InputNormalization& normalization, DType dtype, const Device& device);

/// The same of sparse rows, which stay so: the values of their entries, and what each column is where there is no entry
/// (the background of kernels::gather_sparse_rows). Throws as above.
struct StandardizedEntries {
  Tensor values;      ///< [entries]
  Tensor background;  ///< [p]
};
StandardizedEntries standardized(const SparseRows& rows, const InputNormalization& normalization, DType dtype,
                                 const Device& device);

}  // namespace rtl::data
