// Arrays of numbers as inputs of a data set.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/data/preprocessing.hpp"

namespace rtl::data {

/// The axes of images in a file.
enum class ImageLayout : std::uint8_t { detect, nhwc, nchw };

/// Values of any dtype that files have. Throws DTypeError for bf16.
std::vector<double> array_numbers(const Tensor& values);

/// `values` as f32 [N, p]. Throws FormatError naming file, sample and column, which it calls `column`, for NaN,
/// infinities, and what f32 cannot hold.
Tensor finite_matrix(const std::string& file, const std::vector<double>& values, const Shape& shape, const char* column,
                     const Device& host);

/// An array of a file, which need not fit into memory.
struct ArrayRows {
  Shape shape;
  DType dtype;
  std::function<Tensor(std::int64_t begin, std::int64_t end)> read;  ///< some rows, on the host
  std::function<Tensor()> whole;                                     ///< all, where they may stay as they are
};
/// Of one that is there.
ArrayRows array_rows(Tensor values);

/// [N, p] of any dtype as f32; [N, H, W] and images of four axes as u8 [N, H, W, C], whole numbers from 0 to 255 as
/// they are and floating-point k / 255 as k. What is f32 or u8 in that order stays where it is, the rest is converted
/// some rows at a time (Tensor::out_of_core). Where `layout` is `detect` it is found out, if only one fits, and kept
/// for the next file; what was not certain is added to `notes`. Throws FormatError naming the file for other ranks, no
/// value, NaN and infinities, images whose axes or values can be read in two ways or not at all.
Tensor array_inputs(const std::string& file, const ArrayRows& values, const Device& host, ImageLayout& layout,
                    std::vector<std::string>& notes);

/// [N, p] of any dtype as numbers of columns, which are called by their numbers from 1; NaN is a missing value. Throws
/// FormatError for other ranks and no value.
ColumnTable array_columns(const std::string& file, const Tensor& values);

}  // namespace rtl::data
