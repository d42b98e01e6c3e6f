#include "kernels/backend/residual_fusion.hpp"

#include <vector>

#include "kernels/backend/gemm.hpp"
#include "kernels/backend/pointwise.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {
namespace {

// A head is small: few classes, a few thousand features, a batch of rows. The products are done here, block after block
// of features, straight from where the features lie; only large heads go to the vendor's GEMM (see is_large).
constexpr int row_tile = 4;
constexpr int class_tile = 8;
constexpr int warps_per_block = 4;

/// What a kernel needs to know of one block; column_begin is the block's place in the weight matrix.
template <typename T>
struct Block {
  const void* features;
  const T* mask;
  T scale;
  bool is_bf16;
  std::int64_t width;
  std::int64_t column_begin;
};

constexpr int blocks_per_launch = 16;

template <typename T>
struct BlockTable {
  int count = 0;
  Block<T> block[blocks_per_launch];
};

template <typename T>
__device__ T feature(const Block<T>& block, std::int64_t index) {
  if (block.is_bf16) return static_cast<T>(to_float(static_cast<const bfloat16*>(block.features)[index]));
  return static_cast<const T*>(block.features)[index];
}

/// To where the gradient of the block's features lies, which has their dtype.
template <typename T>
__device__ void store_feature(const Block<T>& block, void* to, std::int64_t index, T value) {
  if (block.is_bf16) {
    static_cast<bfloat16*>(to)[index] = functors::convert<bfloat16>(value);
  } else {
    static_cast<T*>(to)[index] = value;
  }
}

template <typename T>
__device__ T factor(const Block<T>& block, std::int64_t row) {
  return block.mask == nullptr ? block.scale : block.scale * block.mask[row];
}

/// A warp makes row_tile x class_tile logits: its lanes run along the features, then add up. `accumulate` continues the
/// sums of an earlier launch.
template <typename T>
__global__ void __launch_bounds__(warps_per_block* warp_size)
    fuse(std::int64_t rows, std::int64_t classes, std::int64_t columns, const __grid_constant__ BlockTable<T> table,
         const T* w, const T* bias, bool accumulate, T* logits) {
  const std::int64_t class_tiles = ceil_divide(classes, class_tile);
  const std::int64_t tile = std::int64_t{blockIdx.x} * warps_per_block + threadIdx.x / warp_size;
  const std::int64_t row_begin = tile / class_tiles * row_tile, class_begin = tile % class_tiles * class_tile;
  const int lane = static_cast<int>(threadIdx.x % warp_size);
  if (row_begin >= rows) return;
  T sum[row_tile][class_tile] = {};
  for (int k = 0; k < table.count; ++k) {
    const Block<T>& block = table.block[k];
    T share[row_tile];
#pragma unroll
    for (int r = 0; r < row_tile; ++r) share[r] = row_begin + r < rows ? factor(block, row_begin + r) : T{0};
    for (std::int64_t j = lane; j < block.width; j += warp_size) {
      T x[row_tile];
#pragma unroll
      for (int r = 0; r < row_tile; ++r) {
        x[r] = row_begin + r < rows ? share[r] * feature(block, (row_begin + r) * block.width + j) : T{0};
      }
#pragma unroll
      for (int c = 0; c < class_tile; ++c) {
        const T weight = class_begin + c < classes ? w[(class_begin + c) * columns + block.column_begin + j] : T{0};
#pragma unroll
        for (int r = 0; r < row_tile; ++r) sum[r][c] += x[r] * weight;
      }
    }
  }
#pragma unroll
  for (int r = 0; r < row_tile; ++r) {
#pragma unroll
    for (int c = 0; c < class_tile; ++c) {
      T total = sum[r][c];
      for (int bits = warp_size / 2; bits > 0; bits /= 2) total += __shfl_xor_sync(all_lanes, total, bits);
      const std::int64_t row = row_begin + r, label = class_begin + c;
      if (lane == r * class_tile + c && row < rows && label < classes) {
        const T before = accumulate ? logits[row * classes + label] : bias == nullptr ? T{0} : bias[label];
        logits[row * classes + label] = before + total;
      }
    }
  }
}

/// dW of one block: thread x owns a column for class_tile classes, the lines y share the rows, then add up in order.
constexpr int gradient_lines = 8;

template <typename T>
__global__ void __launch_bounds__(warp_size* gradient_lines)
    fuse_weight_gradient(std::int64_t rows, std::int64_t classes, std::int64_t columns, const Block<T> block,
                         const T* dlogits, T* dw) {
  RTL_SHARED(T, partial, [gradient_lines][class_tile][warp_size]);
  const std::int64_t column_tiles = ceil_divide(block.width, warp_size);
  const std::int64_t class_begin = blockIdx.x / column_tiles * class_tile;
  const std::int64_t column = blockIdx.x % column_tiles * warp_size + threadIdx.x;
  T sum[class_tile] = {};
  if (column < block.width) {
    for (std::int64_t row = threadIdx.y; row < rows; row += gradient_lines) {
      const T x = factor(block, row) * feature(block, row * block.width + column);
#pragma unroll
      for (int c = 0; c < class_tile; ++c) {
        if (class_begin + c < classes) sum[c] += x * dlogits[row * classes + class_begin + c];
      }
    }
  }
#pragma unroll
  for (int c = 0; c < class_tile; ++c) partial[threadIdx.y][c][threadIdx.x] = sum[c];
  __syncthreads();
  // Each line finishes one class.
  static_assert(gradient_lines == class_tile);
  const std::int64_t label = class_begin + threadIdx.y;
  if (column >= block.width || label >= classes) return;
  T total = 0;
  for (int line = 0; line < gradient_lines; ++line) total += partial[line][threadIdx.y][threadIdx.x];
  dw[label * columns + block.column_begin + column] = total;
}

/// Gradient of one block's features: a thread makes row_tile elements of one column.
template <typename T>
__global__ void fuse_feature_gradient(std::int64_t rows, std::int64_t classes, std::int64_t columns,
                                      const Block<T> block, const T* w, const T* dlogits, void* dfeatures) {
  const std::int64_t count = ceil_divide(rows, row_tile) * block.width;
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t tile = i / block.width, column = i - tile * block.width;
    T sum[row_tile] = {};
    for (std::int64_t label = 0; label < classes; ++label) {
      const T weight = w[label * columns + block.column_begin + column];
#pragma unroll
      for (int r = 0; r < row_tile; ++r) {
        const std::int64_t row = tile * row_tile + r;
        if (row < rows) sum[r] += weight * dlogits[row * classes + label];
      }
    }
#pragma unroll
    for (int r = 0; r < row_tile; ++r) {
      const std::int64_t row = tile * row_tile + r;
      if (row < rows) store_feature(block, dfeatures, row * block.width + column, factor(block, row) * sum[r]);
    }
  }
}

/// out[row, label] = scale * mask[row] * in[row, label] (+ out).
template <typename T>
__global__ void scale_rows(std::int64_t rows, std::int64_t columns, const Block<T> block, bool accumulate, const T* in,
                           T* out) {
  for (std::int64_t i = grid_thread(); i < rows * columns; i += grid_threads()) {
    const T scaled = factor(block, i / columns) * in[i];
    out[i] = accumulate ? out[i] + scaled : scaled;
  }
}

/// Block k, whose columns begin behind those of the blocks before.
template <typename T>
Block<T> describe(std::span<const FusionBlock> blocks, std::size_t k) {
  std::int64_t column = 0;
  for (const FusionBlock& before : blocks.first(k)) column += before.features.extent(1);
  const FusionBlock& block = blocks[k];
  return {block.features.data(),       block.mask.given() ? block.mask.data_as<T>() : nullptr,
          static_cast<T>(block.scale), block.features.dtype() == DType::bf16,
          block.features.extent(1),    column};
}

/// From about here a GEMM's tiles of shared memory save more than its extra launches cost. Rounded bf16 features have
/// no GEMM with f32 weights.
bool is_large(std::span<const FusionBlock> blocks, std::int64_t rows, std::int64_t classes, std::int64_t columns) {
  constexpr std::int64_t many_products = std::int64_t{1} << 26;
  const bool mixed =
      std::ranges::any_of(blocks, [](const FusionBlock& block) { return block.features.dtype() == DType::bf16; });
  return !mixed && classes >= 64 && rows * classes * columns >= many_products;
}

template <typename T>
void forward_small(const Device& device, std::span<const FusionBlock> blocks, const ConstView& w, const ConstView& bias,
                   const View& logits) {
  const std::int64_t rows = logits.extent(0), classes = logits.extent(1);
  const std::int64_t tiles = ceil_divide(rows, row_tile) * ceil_divide(classes, class_tile);
  const auto grid = static_cast<unsigned>(ceil_divide(tiles, warps_per_block));
  BlockTable<T> table;
  bool accumulate = false;
  for (std::size_t k = 0; k < blocks.size(); ++k) {
    table.block[table.count++] = describe<T>(blocks, k);
    if (table.count < blocks_per_launch && k + 1 < blocks.size()) continue;
    launch(fuse<T>, grid, warps_per_block * warp_size, 0, activate(device), rows, classes, w.extent(1), table,
           w.data_as<T>(), bias.given() ? bias.data_as<T>() : nullptr, accumulate, logits.data_as<T>());
    table.count = 0;
    accumulate = true;
  }
}

template <typename T>
void forward_large(const Device& device, std::span<const FusionBlock> blocks, const ConstView& w, const ConstView& bias,
                   const View& logits) {
  const std::int64_t rows = logits.extent(0), classes = logits.extent(1);
  const Scratch<T> products(device, rows * classes);
  const View product(products.get(), logits.dtype(), logits.shape(), device);
  for (std::size_t k = 0; k < blocks.size(); ++k) {
    const Block<T> block = describe<T>(blocks, k);
    const ConstView weights = w.slice(1, block.column_begin, block.column_begin + block.width);
    if (block.mask == nullptr) {  // the GEMM itself adds up
      cuda::gemm(device, Transpose::no, Transpose::yes, static_cast<double>(block.scale), blocks[k].features, weights,
                 k == 0 ? 0.0 : 1.0, logits, Epilogue::none, {});
      continue;
    }
    cuda::gemm(device, Transpose::no, Transpose::yes, 1.0, blocks[k].features, weights, 0.0, product, Epilogue::none,
               {});
    launch(scale_rows<T>, blocks_for(rows * classes), block_size, 0, activate(device), rows, classes, block, k > 0,
           products.get(), logits.data_as<T>());
  }
  if (bias.given()) cuda::scale_add(device, 1.0, bias.broadcast_to(logits.shape()), 1.0, logits);
}

template <typename T>
void backward_small(const Device& device, std::span<const FusionBlock> blocks, const ConstView& w,
                    const ConstView& dlogits, const View& dw, std::span<const View> dfeatures) {
  const std::int64_t rows = dlogits.extent(0), classes = dlogits.extent(1), columns = w.extent(1);
  const cudaStream_t stream = activate(device);
  const T* gradient = dlogits.data_as<T>();
  for (std::size_t k = 0; k < blocks.size(); ++k) {
    const Block<T> block = describe<T>(blocks, k);
    const std::int64_t tiles = ceil_divide(block.width, warp_size) * ceil_divide(classes, class_tile);
    launch(fuse_weight_gradient<T>, static_cast<unsigned>(tiles), dim3(warp_size, gradient_lines), 0, stream, rows,
           classes, columns, block, gradient, dw.data_as<T>());
    if (dfeatures.empty() || !dfeatures[k].given()) continue;
    launch(fuse_feature_gradient<T>, blocks_for(ceil_divide(rows, row_tile) * block.width), block_size, 0, stream, rows,
           classes, columns, block, w.data_as<T>(), gradient, dfeatures[k].data());
  }
}

template <typename T>
void backward_large(const Device& device, std::span<const FusionBlock> blocks, const ConstView& w,
                    const ConstView& dlogits, const View& dw, std::span<const View> dfeatures) {
  const std::int64_t rows = dlogits.extent(0), classes = dlogits.extent(1);
  const Scratch<T> scaled_gradient(device, rows * classes);
  const ConstView scaled(scaled_gradient.get(), dlogits.dtype(), dlogits.shape(), device);
  for (std::size_t k = 0; k < blocks.size(); ++k) {
    const Block<T> block = describe<T>(blocks, k);
    const std::int64_t begin = block.column_begin, end = begin + block.width;
    launch(scale_rows<T>, blocks_for(rows * classes), block_size, 0, activate(device), rows, classes, block, false,
           dlogits.data_as<T>(), scaled_gradient.get());
    cuda::gemm(device, Transpose::yes, Transpose::no, 1.0, scaled, blocks[k].features, 0.0, dw.slice(1, begin, end),
               Epilogue::none, {});
    if (dfeatures.empty() || !dfeatures[k].given()) continue;
    cuda::gemm(device, Transpose::no, Transpose::no, 1.0, scaled, w.slice(1, begin, end), 0.0, dfeatures[k],
               Epilogue::none, {});
  }
}

}  // namespace

void residual_fusion_forward(const Device& device, std::span<const FusionBlock> blocks, ConstView w, ConstView bias,
                             View logits) {
  functors::visit_floating(w.dtype(), [&](auto element) {
    using T = decltype(element);
    if (is_large(blocks, logits.extent(0), logits.extent(1), w.extent(1))) {
      forward_large<T>(device, blocks, w, bias, logits);
    } else {
      forward_small<T>(device, blocks, w, bias, logits);
    }
  });
}

void residual_fusion_backward(const Device& device, std::span<const FusionBlock> blocks, ConstView w, ConstView dlogits,
                              View dw, View dbias, std::span<const View> dfeatures) {
  functors::visit_floating(w.dtype(), [&](auto element) {
    using T = decltype(element);
    if (is_large(blocks, dlogits.extent(0), dlogits.extent(1), w.extent(1))) {
      backward_large<T>(device, blocks, w, dlogits, dw, dfeatures);
    } else {
      backward_small<T>(device, blocks, w, dlogits, dw, dfeatures);
    }
  });
  if (dbias.given()) cuda::column_sums(device, dlogits, dbias);
}

}  // namespace rtl::kernels::cuda
