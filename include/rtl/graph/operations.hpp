// The operations of recorded graphs: each checks shapes and dtypes when it is recorded (ShapeError, DTypeError,
// ValueError) and has a gradient written with operations, unless said otherwise. Images are [N, H, W, C], convolution
// weights [out, in, height, width], linear weights [out, in], labels i32. Results of the same operands on one device
// with one number of threads are the same bits.
//
// Activations are f32, f64 or bf16, and a network computes in the dtype of what it is given. Parameters, statistics and
// their gradients are f32 for bf16 activations (parameter_dtype), else of the activations' dtype. Products and
// convolutions in bf16 multiply bf16 (f32 weights are rounded) and accumulate in f32; everything else calculates in f32
// and rounds once. Losses, fused heads' weights and scatter_add_rows are f32 or f64. A bf16 value and an f32 value only
// meet where this says so; elsewhere cast one of them. Gradients of gradients of norms are f32 or f64.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "rtl/graph/graph.hpp"
#include "rtl/kernels/attention.hpp"
#include "rtl/kernels/conv.hpp"
#include "rtl/kernels/image_augmentation.hpp"
#include "rtl/kernels/pointwise.hpp"
#include "rtl/kernels/pool.hpp"
#include "rtl/kernels/sequence.hpp"

namespace rtl::graph {

// ---- elementwise, with NumPy broadcasting ----

// The functions of rtl/kernels/elementwise_functions.inc, whose rows say what each computes: add(a, b), subtract,
// multiply, divide, maximum, minimum, greater_equal, swiglu; negate(x), absolute, exp, log, sqrt, square, reciprocal;
// the activations relu(x), relu6, sigmoid, tanh, gelu, gelu_tanh, silu; and what else has a row there.
#define RTL_UNARY(name, value, gradient) Value name(const Value& x);
#define RTL_BINARY(name, value, gradient_a, gradient_b) Value name(const Value& a, const Value& b);
#include "rtl/kernels/elementwise_functions.inc"

/// factor * x.
Value scale(const Value& x, double factor);
/// dy where y > 0, else 0: the gradient of y = relu(x).
Value relu_backward(const Value& y, const Value& dy);

/// A value of one number.
Value fill(Graph& graph, double number, const Shape& shape, DType dtype);
/// Conversion between f32, f64 and bf16 (round to nearest even).
Value cast(const Value& x, DType dtype);

// ---- shape ----

/// The same elements in row-major order; no copy.
Value reshape(const Value& x, const Shape& shape);
/// Axis i of the result is axis order[i] of x.
Value permute(const Value& x, std::span<const int> order);
/// Positions [begin, end) of an axis (negative counts from the end).
Value slice(const Value& x, int axis, std::int64_t begin, std::int64_t end);
Value concatenate(std::span<const Value> parts, int axis);
/// Repeats axes of extent 1, and adds leading ones, to reach `shape`.
Value broadcast(const Value& x, const Shape& shape);

// ---- reductions ----

/// Over the given axes (negative counts from the end; none given: all), which are dropped, or kept with extent 1. All
/// axes dropped gives [1]. The gradient of maximum goes in equal parts to the elements that reach it.
struct ReduceOptions {
  std::vector<int> axes = {};
  bool keep_axes = false;
  bool wide = false;  ///< the result of bf16 values is f32
};
Value sum(const Value& x, const ReduceOptions& options = {});
Value mean(const Value& x, const ReduceOptions& options = {});
Value maximum_of(const Value& x, const ReduceOptions& options = {});
/// Sum over the axes along which `shape` was broadcast: the gradient of broadcast.
Value sum_to(const Value& x, const Shape& shape);

// ---- products ----

/// op(a) op(b) over the last two axes, op being the transposition where asked for; leading axes must be equal, or
/// absent from one of the operands. 2 m n k FLOP each. bf16 and f32 may meet, in a product of bf16.
struct MatmulOptions {
  bool transpose_a = false;
  bool transpose_b = false;
  bool wide = false;  ///< the result of bf16 operands is f32
};
Value matmul(const Value& a, const Value& b, const MatmulOptions& options = {});
/// x w^T + bias: x [N, in], w [out, in], bias [out] or not defined.
Value linear(const Value& x, const Value& w, const Value& bias);

// ---- images ----

/// conv(x, w) + bias; w [out, in / groups, height, width], bias [out] or not defined.
Value conv2d(const Value& x, const Value& w, const Value& bias, const kernels::Conv2dOptions& options);
/// Gradients of conv2d, themselves differentiable.
Value conv2d_backward_data(const Value& dy, const Value& w, const Shape& x_shape,
                           const kernels::Conv2dOptions& options);
struct Conv2dWeightGradients {
  Value weight;
  Value bias;  ///< not defined unless asked for
};
Conv2dWeightGradients conv2d_backward_weights(const Value& x, const Value& dy, const Shape& w_shape, bool bias,
                                              const kernels::Conv2dOptions& options);

/// Over the last axis with the batch's statistics (Ioffe and Szegedy 2015); running_mean and running_variance are
/// variables, updated in place. See rtl/kernels/norm.hpp.
struct BatchNormOptions {
  double epsilon = 1e-5;
  double momentum = 0.1;
};
Value batch_norm_training(const Value& x, const Value& gamma, const Value& beta, const Value& running_mean,
                          const Value& running_variance, const BatchNormOptions& options = {});
/// With running statistics, to which no gradient flows.
Value batch_norm_evaluation(const Value& x, const Value& gamma, const Value& beta, const Value& running_mean,
                            const Value& running_variance, const BatchNormOptions& options = {});

Value max_pool(const Value& x, const kernels::PoolOptions& options);
Value average_pool(const Value& x, const kernels::PoolOptions& options);
/// [N, H, W, C] to [N, C]; the means of bf16 images are f32.
Value global_average_pool(const Value& x);
/// [N, H, W, C] to [N, C * H * W] in channel, row, column order.
Value flatten(const Value& x);
/// Option-A shortcut to `channels` channels at half the resolution.
Value shortcut_a(const Value& x, std::int64_t channels);

/// Over the last axis with each row's statistics; gamma and beta [C] are parameters. See rtl/kernels/row_norm.hpp.
Value layer_norm(const Value& x, const Value& gamma, const Value& beta, double epsilon = 1e-5);
Value rms_norm(const Value& x, const Value& gamma, double epsilon = 1e-5);

// ---- sequences of tokens (rtl/kernels/sequence.hpp) ----

/// Rows of table [V, C] by ids i32 [..]: [.., C] of `dtype`. An id outside [0, V) gives zeros and has no gradient.
Value embedding(const Value& table, const Value& ids, DType dtype);
/// i32 [N]: how many ids i32 [N, T] there are in front of the padding, the first negative one. No gradient.
Value sequence_lengths(const Value& ids);
/// Means over the first `lengths` positions of x [N, T, C], or over all where lengths are not defined: [N, C], f32 from
/// bf16.
Value sequence_mean(const Value& x, const Value& lengths = {});
/// Rotary positions on the first `heads` heads of x [N, T, H, head_size], the others as they are; no gradient goes to
/// cosines and sines [at least T, head_size / 2], which are parameters.
Value rotate_positions(const Value& x, const Value& cosines, const Value& sines, kernels::RotaryPairs pairs,
                       std::int64_t heads, bool back = false);

/// Multi-head attention, whose score matrix is never stored (rtl/kernels/attention.hpp): q [N, T, H, D], k and v [N, S,
/// G, D], the result [N, T, H, D]. lengths i32 [N] of the keys, and counters of dropout, may be not defined.
Value attention(const Value& q, const Value& k, const Value& v, const Value& lengths = {}, const Value& counters = {},
                const kernels::AttentionOptions& options = {});
/// The same for heads that lie in one tensor [N, T, H + 2 G, D]: `heads` of queries, then those of keys and of values.
Value packed_attention(const Value& qkv, std::int64_t heads, const Value& lengths = {}, const Value& counters = {},
                       const kernels::AttentionOptions& options = {});

// ---- rows, losses, random numbers ----

/// Over the last axis.
Value softmax(const Value& x);
/// Mean softmax cross-entropy of logits [N, C] and labels i32 [N], which the caller has checked; a scalar [1].
Value cross_entropy(const Value& logits, const Value& labels);
/// The same for the labels of the rows of a batch, as gather_batch takes them from labels i32 [n].
Value cross_entropy_batch(const Value& logits, const Value& labels, const Value& order, const Value& counters);

/// out[i] = table[rows[i]], zeros where that is no row, converted to `dtype`, f32, f64, bf16 or the table's: rows i32
/// or i64 [m]; table [n, ...] of f32, f64, bf16, f16, u8 or i32. A gradient only for tables of f32 and f64.
Value gather_rows(const Value& table, const Value& rows, DType dtype);
/// The same for u8 images [n, H, W, C]: out[..., c] = table[..., c] * scale[c] + shift[c]; scale and shift [C] are
/// parameters. No gradient.
Value gather_images(const Value& table, const Value& rows, const Value& scale, const Value& shift, DType dtype);
/// The batch of a step: `count` rows of the epoch's order, i32 or i64 [N], from counters[begin] on, of which the caller
/// sees that they are there (rtl/kernels/step_state.hpp). No gradient.
Value gather_batch(const Value& table, const Value& order, const Value& counters, std::int64_t count, DType dtype);
Value gather_batch_images(const Value& table, const Value& order, const Value& counters, std::int64_t count,
                          const Value& scale, const Value& shift, DType dtype);
/// What kernels::gather_features takes.
struct FeatureTable {
  Value table;
  Value places = {}, transform = {};  ///< may be undefined
  float bound = std::numeric_limits<float>::infinity();
};
/// gather_batch of stored features, converted and scaled on the way: [count, p] of `dtype`, f32, f64 or bf16. No
/// gradient.
Value gather_batch_features(const FeatureTable& table, const Value& order, const Value& counters, std::int64_t count,
                            DType dtype);
/// A table of sparse rows, as kernels::gather_sparse_rows takes it.
struct SparseTable {
  Value offsets, columns, values, background;  ///< background may be undefined: zeros
  std::int64_t width = 0;
};
/// gather_batch of sparse rows, made dense: [count, width] of `dtype`, f32, f64 or bf16. No gradient.
Value gather_sparse_batch(const SparseTable& table, const Value& order, const Value& counters, std::int64_t count,
                          DType dtype);
/// gather_batch_images of images that are changed at random, each by what is drawn for its place in the batch from the
/// counters' seed and, made of `name` (a hash) and their step, a stream (rtl/kernels/gather.hpp). No gradient. Throws
/// ValueError for what ImageAugmentation::fault finds.
Value gather_augmented_images(const Value& table, const Value& order, const Value& counters, std::int64_t count,
                              const Value& scale, const Value& shift, DType dtype,
                              const kernels::ImageAugmentation& augmentation, std::uint64_t name);
/// table [rows, ...] of zeros, with values[i] added to row rows[i], where there is one, in a fixed order.
Value scatter_add_rows(const Value& values, const Value& rows, std::int64_t table_rows);

/// x, of which gradients see nothing; no copy.
Value stop_gradient(const Value& x);
/// x, with -factor times the gradient (Ganin et al. 2016). x is finite; the factor is one number, to which none flows.
Value reverse_gradient(const Value& x, const Value& factor);
/// Inverted dropout: element i is dropped where Philox(seed, stream).uniform(i) < probability. The seed, and the step
/// from which and from `name` (a hash) the stream is made, are those of counters (rtl/kernels/step_state.hpp); in a run
/// forward and backward must come before `advance`. The identity for probability 0.
Value dropout(const Value& x, double probability, std::uint64_t name, const Value& counters);

/// One block of a fused head.
struct FusionInput {
  Value features;  ///< [N, p]
  double scale = 1.0;
  Value mask = {};  ///< [N], multiplies each sample's block; may be absent; no gradient
};
/// Logits [N, C] of the concatenated, scaled blocks; w [C, sum of p] (rtl/kernels/residual_fusion.hpp).
Value residual_fusion(std::span<const FusionInput> blocks, const Value& w, const Value& bias);

}  // namespace rtl::graph
