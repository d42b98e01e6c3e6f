// Attention by tiles in shared memory. A block has a tile of `rows` queries (or, for the gradients of keys and values,
// of keys) and goes through the tiles of the others; eight threads share a row. Nothing is added to memory by two
// blocks, so sums have one order.
#include "kernels/backend/attention.hpp"

#include <limits>

#include "kernels/cuda/launch.cuh"
#include "kernels/functors.hpp"
#include "kernels/sequence_length.hpp"
#include "rtl/core/random.hpp"
#include "rtl/kernels/step_state.hpp"

namespace rtl::kernels::cuda {
namespace {

/// Threads that share a row.
constexpr int lanes = 8;
/// On a multiprocessor: left to itself, ptxas spills to have more.
constexpr int blocks_at_once = 4;

/// Heads [N, T, H, D], in elements from one to the next.
template <typename T>
struct Heads {
  T* data = nullptr;
  std::int64_t sequence = 0, position = 0, head = 0;
  Heads() = default;
  template <typename AnyView>
  explicit Heads(const AnyView& view)
      : data(view.template data_as<std::remove_const_t<T>>()),
        sequence(view.strides()[0]),
        position(view.strides()[1]),
        head(view.strides()[2]) {}
  __device__ T* at(std::int64_t n, std::int64_t t, std::int64_t h) const {
    return data + n * sequence + t * position + h * head;
  }
};

template <typename T>
struct Attention {
  using A = Arithmetic<T>;
  std::int64_t sequences, queries, heads, size, keys, groups;
  Heads<const T> q, k, v;
  const std::int32_t* lengths;
  const std::int64_t* counters;
  bool causal;
  A scale;
  functors::Dropout<A> mask;  ///< without seed and stream, which lie in counters
  std::uint64_t name;

  Attention(const ConstView& q_view, const ConstView& k_view, const ConstView& v_view, const ConstView& length_view,
            const ConstView& counter_view, const AttentionOptions& options)
      : sequences(q_view.extent(0)),
        queries(q_view.extent(1)),
        heads(q_view.extent(2)),
        size(q_view.extent(3)),
        keys(k_view.extent(1)),
        groups(k_view.extent(2)),
        q(q_view),
        k(k_view),
        v(v_view),
        lengths(length_view.given() ? length_view.data_as<std::int32_t>() : nullptr),
        counters(options.dropout > 0 ? counter_view.data_as<std::int64_t>() : nullptr),
        causal(options.causal),
        scale(static_cast<A>(options.scale)),
        mask(0, 0, options.dropout),
        name(options.name) {}

  /// How many keys a query sees.
  __device__ std::int64_t visible(std::int64_t n, std::int64_t query) const {
    const std::int64_t length = length_of(lengths, n, keys);
    if (!causal) return length;
    const std::int64_t end = query + keys - queries + 1;
    return end < 0 ? 0 : end < length ? end : length;
  }
};

/// What dropout multiplies a weight by.
template <typename A>
struct Kept {
  functors::Dropout<A> mask;
  bool any;
  template <typename T>
  __device__ explicit Kept(const Attention<T>& a) : mask(a.mask), any(a.counters != nullptr) {
    if (!any) return;
    const auto step = static_cast<std::uint64_t>(a.counters[Counters::step]);
    mask.philox = Philox(static_cast<std::uint64_t>(a.counters[Counters::seed]), mix(a.name, step));
  }
  __device__ A operator()(A value, std::int64_t place) const {
    if (!any) return value;
    // Words chosen by number would lie in local memory.
    const PhiloxBlock block = mask.philox.block(static_cast<std::uint64_t>(place) / 4);
    const std::uint32_t low = (place & 1) == 0 ? block.word[0] : block.word[1];
    const std::uint32_t high = (place & 1) == 0 ? block.word[2] : block.word[3];
    return mask.apply(value, (place & 2) == 0 ? low : high);
  }
};

/// The sum, or the largest, of the eight threads of a row.
template <typename A>
__device__ inline A sum_of_row(A value) {
  for (int bits = lanes / 2; bits > 0; bits /= 2) value += __shfl_xor_sync(all_lanes, value, bits);
  return value;
}
template <typename A>
__device__ inline A largest_of_row(A value) {
  for (int bits = lanes / 2; bits > 0; bits /= 2) {
    value = functors::Maximum()(value, __shfl_xor_sync(all_lanes, value, bits));
  }
  return value;
}

/// Rows [first, first + rows) of a head into a tile of rows of size + 1, zeros behind `end`.
template <int rows, typename T>
__device__ inline void load_tile(const Heads<const T>& heads, std::int64_t n, std::int64_t h, std::int64_t first,
                                 std::int64_t end, int size, Arithmetic<T>* tile) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * size; i += rows * lanes) {
    const int row = i / size, d = i - row * size;
    const bool inside = first + row < end;
    tile[row * (size + 1) + d] =
        inside ? functors::convert<Arithmetic<T>>(heads.at(n, first + row, h)[d]) : Arithmetic<T>{0};
  }
}

template <typename A>
__device__ inline A dot(const A* a, const A* b, int size) {
  A sum = 0;
  for (int d = 0; d < size; ++d) sum += a[d] * b[d];
  return sum;
}

/// sums[m] += weight row[lane + 8 m].
template <int most, typename A>
__device__ inline void add_row(A weight, const A* row, int lane, int size, A (&sums)[most / lanes]) {
#pragma unroll
  for (int m = 0; m < most / lanes; ++m) {
    if (lane + m * lanes < size) sums[m] += weight * row[lane + m * lanes];
  }
}

template <int most, typename T>
__device__ inline void store_row(const Arithmetic<T> (&sums)[most / lanes], Arithmetic<T> factor, int lane, int size,
                                 T* to) {
#pragma unroll
  for (int m = 0; m < most / lanes; ++m) {
    if (lane + m * lanes < size) to[lane + m * lanes] = functors::convert<T>(sums[m] * factor);
  }
}

/// Which tile of which head a block has.
struct Place {
  std::int64_t n, h, first;
  __device__ Place(std::int64_t positions, std::int64_t heads, int rows) {
    const std::int64_t tiles = ceil_divide(positions, rows), line = std::int64_t{blockIdx.x} / tiles;
    n = line / heads;
    h = line - n * heads;
    first = (std::int64_t{blockIdx.x} - line * tiles) * rows;
  }
};

template <int rows, int most, typename T>
__global__ void __launch_bounds__(rows* lanes, blocks_at_once)
    attend(const __grid_constant__ Attention<T> a, const Heads<T> out, Arithmetic<T>* log_sum_exp) {
  using A = Arithmetic<T>;
  RTL_DYNAMIC_SHARED(A, memory);
  const int size = static_cast<int>(a.size), row = static_cast<int>(threadIdx.x) / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  A *const queries = memory, *const others = queries + rows * (size + 1), *const weights = others + rows * (size + 1);
  const Place place(a.queries, a.heads, rows);
  const std::int64_t group = place.h / (a.heads / a.groups), query = place.first + row;
  const std::int64_t last = place.first + rows < a.queries ? place.first + rows : a.queries;
  const std::int64_t visible = query < a.queries ? a.visible(place.n, query) : 0, end = a.visible(place.n, last - 1);
  const std::int64_t line = ((place.n * a.heads + place.h) * a.queries + query) * a.keys;
  const Kept<A> kept(a);
  load_tile<rows>(a.q, place.n, place.h, place.first, a.queries, size, queries);
  A largest = -std::numeric_limits<A>::infinity(), sum = 0, sums[most / lanes] = {};
  for (std::int64_t key = 0; key < end; key += rows) {
    __syncthreads();
    load_tile<rows>(a.k, place.n, group, key, a.keys, size, others);
    __syncthreads();
    A here = -std::numeric_limits<A>::infinity();
    for (int j = lane; j < rows; j += lanes) {
      A score = -std::numeric_limits<A>::infinity();
      if (key + j < visible) score = a.scale * dot(queries + row * (size + 1), others + j * (size + 1), size);
      weights[row * rows + j] = score;
      here = functors::Maximum()(here, score);
    }
    const A before = largest;
    largest = functors::Maximum()(before, largest_of_row(here));
    const A share = before == -std::numeric_limits<A>::infinity() ? A{0} : std::exp(before - largest);
    A part = 0;
    for (int j = lane; j < rows; j += lanes) {
      const A weight = key + j < visible ? std::exp(weights[row * rows + j] - largest) : A{0};
      part += weight;
      weights[row * rows + j] = weight == A{0} ? A{0} : kept(weight, line + key + j);
    }
    sum = sum * share + sum_of_row(part);
#pragma unroll
    for (int m = 0; m < most / lanes; ++m) sums[m] *= share;
    __syncthreads();
    load_tile<rows>(a.v, place.n, group, key, a.keys, size, others);
    __syncthreads();
    for (int j = 0; j < rows; ++j) add_row<most>(weights[row * rows + j], others + j * (size + 1), lane, size, sums);
  }
  if (query >= a.queries) return;
  store_row<most, T>(sums, sum == A{0} ? A{0} : A{1} / sum, lane, size, out.at(place.n, query, place.h));
  if (lane == 0) log_sum_exp[line / a.keys] = largest + std::log(sum);
}

/// delta[n, h, i] = the sum of out * dout.
template <typename T>
__global__ void sum_products(std::int64_t count, const __grid_constant__ Attention<T> a, const Heads<const T> out,
                             const Heads<const T> dout, Arithmetic<T>* delta) {
  using A = Arithmetic<T>;
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t line = i / a.queries, query = i - line * a.queries, n = line / a.heads, h = line - n * a.heads;
    const T *left = out.at(n, query, h), *right = dout.at(n, query, h);
    A sum = 0;
    for (std::int64_t d = 0; d < a.size; ++d) sum += functors::convert<A>(left[d]) * functors::convert<A>(right[d]);
    delta[i] = sum;
  }
}

/// What both backward kernels read.
template <typename T>
struct Upstream {
  Heads<const T> dout;
  const Arithmetic<T>*log_sum_exp, *delta;
};

/// The weight of a query and a key, and the gradient of their score. The products are of rows in shared memory.
template <typename T>
struct Pair {
  using A = Arithmetic<T>;
  A weight, slope;  ///< the weight behind dropout
  __device__ Pair(const Attention<T>& a, const Kept<A>& kept, const Upstream<T>& up, std::int64_t n, std::int64_t h,
                  std::int64_t query, std::int64_t key, A score, A product) {
    const std::int64_t line = (n * a.heads + h) * a.queries + query, place = line * a.keys + key;
    const A p = std::exp(a.scale * score - up.log_sum_exp[line]);
    weight = kept(p, place);
    slope = p * (kept(product, place) - up.delta[line]) * a.scale;
  }
};

template <int rows, int most, typename T>
__global__ void __launch_bounds__(rows* lanes, blocks_at_once)
    attend_gradient_of_queries(const __grid_constant__ Attention<T> a, const __grid_constant__ Upstream<T> up,
                               const Heads<T> dq) {
  using A = Arithmetic<T>;
  RTL_DYNAMIC_SHARED(A, memory);
  const int size = static_cast<int>(a.size), row = static_cast<int>(threadIdx.x) / lanes, step = size + 1;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  A *const queries = memory, *const dout = queries + rows * step, *const keys = dout + rows * step;
  A *const values = keys + rows * step, *const slopes = values + rows * step;
  const Place place(a.queries, a.heads, rows);
  const std::int64_t group = place.h / (a.heads / a.groups), query = place.first + row;
  const std::int64_t last = place.first + rows < a.queries ? place.first + rows : a.queries;
  const std::int64_t visible = query < a.queries ? a.visible(place.n, query) : 0, end = a.visible(place.n, last - 1);
  const Kept<A> kept(a);
  load_tile<rows>(a.q, place.n, place.h, place.first, a.queries, size, queries);
  load_tile<rows>(up.dout, place.n, place.h, place.first, a.queries, size, dout);
  A sums[most / lanes] = {};
  for (std::int64_t key = 0; key < end; key += rows) {
    __syncthreads();
    load_tile<rows>(a.k, place.n, group, key, a.keys, size, keys);
    load_tile<rows>(a.v, place.n, group, key, a.keys, size, values);
    __syncthreads();
    for (int j = lane; j < rows; j += lanes) {
      A slope = 0;
      if (key + j < visible) {
        const A score = dot(queries + row * step, keys + j * step, size);
        const A product = dot(dout + row * step, values + j * step, size);
        slope = Pair<T>(a, kept, up, place.n, place.h, query, key + j, score, product).slope;
      }
      slopes[row * rows + j] = slope;
    }
    __syncthreads();
    for (int j = 0; j < rows; ++j) add_row<most>(slopes[row * rows + j], keys + j * step, lane, size, sums);
  }
  if (query < a.queries) store_row<most, T>(sums, A{1}, lane, size, dq.at(place.n, query, place.h));
}

template <int rows, int most, typename T>
__global__ void __launch_bounds__(rows* lanes, blocks_at_once)
    attend_gradient_of_keys(const __grid_constant__ Attention<T> a, const __grid_constant__ Upstream<T> up,
                            const Heads<T> dk, const Heads<T> dv) {
  using A = Arithmetic<T>;
  RTL_DYNAMIC_SHARED(A, memory);
  const int size = static_cast<int>(a.size), row = static_cast<int>(threadIdx.x) / lanes, step = size + 1;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  A *const queries = memory, *const dout = queries + rows * step, *const keys = dout + rows * step;
  A *const values = keys + rows * step, *const weights = values + rows * step, *const slopes = weights + rows * rows;
  const Place place(a.keys, a.groups, rows);
  const std::int64_t share = a.heads / a.groups, key = place.first + row, before = a.keys - a.queries;
  // Queries in front of this see none of the tile's keys.
  const std::int64_t start = a.causal && place.first > before ? (place.first - before) / rows * rows : 0;
  const Kept<A> kept(a);
  load_tile<rows>(a.k, place.n, place.h, place.first, a.keys, size, keys);
  load_tile<rows>(a.v, place.n, place.h, place.first, a.keys, size, values);
  A key_sums[most / lanes] = {}, value_sums[most / lanes] = {};
  for (std::int64_t h = place.h * share; h < (place.h + 1) * share; ++h) {
    for (std::int64_t first = start; first < a.queries; first += rows) {
      __syncthreads();
      load_tile<rows>(a.q, place.n, h, first, a.queries, size, queries);
      load_tile<rows>(up.dout, place.n, h, first, a.queries, size, dout);
      __syncthreads();
      for (int i = lane; i < rows; i += lanes) {
        A weight = 0, slope = 0;
        if (first + i < a.queries && key < a.visible(place.n, first + i)) {
          const A score = dot(queries + i * step, keys + row * step, size);
          const A product = dot(dout + i * step, values + row * step, size);
          const Pair<T> pair(a, kept, up, place.n, h, first + i, key, score, product);
          weight = pair.weight;
          slope = pair.slope;
        }
        weights[row * rows + i] = weight;
        slopes[row * rows + i] = slope;
      }
      __syncthreads();
      for (int i = 0; i < rows; ++i) {
        add_row<most>(weights[row * rows + i], dout + i * step, lane, size, value_sums);
        add_row<most>(slopes[row * rows + i], queries + i * step, lane, size, key_sums);
      }
    }
  }
  if (key >= a.keys) return;
  store_row<most, T>(key_sums, A{1}, lane, size, dk.at(place.n, key, place.h));
  store_row<most, T>(value_sums, A{1}, lane, size, dv.at(place.n, key, place.h));
}

/// Calls f with the rows of a tile and the largest head size, as integral constants: what fits in 48 KiB.
template <typename A, typename F>
void with_tile(std::int64_t size, const F& f) {
  constexpr int wide = sizeof(A) == 8 ? 8 : 16;
  if (size <= 64) {
    f(std::integral_constant<int, wide>(), std::integral_constant<int, 64>());
  } else if (size <= 128) {
    f(std::integral_constant<int, wide>(), std::integral_constant<int, 128>());
  } else {
    f(std::integral_constant<int, wide / 2>(), std::integral_constant<int, 256>());
  }
}

/// Bytes of `tiles` tiles of rows of a head, and of `squares` tiles of weights.
template <typename A>
std::size_t shared_bytes(int rows, std::int64_t size, int tiles, int squares) {
  return static_cast<std::size_t>(tiles * rows * (size + 1) + squares * rows * rows) * sizeof(A);
}

}  // namespace

void attention_forward(const Device& device, ConstView q, ConstView k, ConstView v, ConstView lengths,
                       ConstView counters, const AttentionOptions& options, View out, View log_sum_exp) {
  functors::visit_activations(q.dtype(), [&](auto element) {
    using T = decltype(element);
    using A = Arithmetic<T>;
    const Attention<T> a(q, k, v, lengths, counters, options);
    with_tile<A>(a.size, [&](auto rows, auto most) {
      const auto blocks = static_cast<unsigned>(ceil_divide(a.queries, rows()) * a.sequences * a.heads);
      launch(attend<rows(), most(), T>, blocks, rows() * lanes, shared_bytes<A>(rows(), a.size, 2, 1), activate(device),
             a, Heads<T>(out), log_sum_exp.data_as<A>());
    });
  });
}

void attention_backward(const Device& device, ConstView q, ConstView k, ConstView v, ConstView lengths,
                        ConstView counters, const AttentionOptions& options, ConstView out, ConstView log_sum_exp,
                        ConstView dout, View dq, View dk, View dv) {
  functors::visit_activations(q.dtype(), [&](auto element) {
    using T = decltype(element);
    using A = Arithmetic<T>;
    const Attention<T> a(q, k, v, lengths, counters, options);
    const std::int64_t count = a.sequences * a.heads * a.queries;
    const Scratch<A> delta(device, count);
    const Upstream<T> up{Heads<const T>(dout), log_sum_exp.data_as<A>(), delta.get()};
    const cudaStream_t stream = activate(device);
    launch(sum_products<T>, blocks_for(count), block_size, 0, stream, count, a, Heads<const T>(out), up.dout,
           delta.get());
    with_tile<A>(a.size, [&](auto rows, auto most) {
      const auto query_blocks = static_cast<unsigned>(ceil_divide(a.queries, rows()) * a.sequences * a.heads);
      const auto key_blocks = static_cast<unsigned>(ceil_divide(a.keys, rows()) * a.sequences * a.groups);
      launch(attend_gradient_of_queries<rows(), most(), T>, query_blocks, rows() * lanes,
             shared_bytes<A>(rows(), a.size, 4, 1), stream, a, up, Heads<T>(dq));
      launch(attend_gradient_of_keys<rows(), most(), T>, key_blocks, rows() * lanes,
             shared_bytes<A>(rows(), a.size, 4, 2), stream, a, up, Heads<T>(dk), Heads<T>(dv));
    });
  });
}

}  // namespace rtl::kernels::cuda
