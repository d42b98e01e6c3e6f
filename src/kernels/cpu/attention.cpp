// Attention on the host: products of tiles, and rows of scores between them, by vectors. Threads share the
// tiles of queries forward, and the heads of keys backward, where a head's gradients are summed by one thread.
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/backend/attention.hpp"
#include "kernels/cpu/attention_rows.hpp"
#include "kernels/cpu/blas_parts.hpp"
#include "kernels/cpu/onednn.hpp"
#include "kernels/cpu/products.hpp"
#include "kernels/cpu/tile_product.hpp"
#include "kernels/cpu/widened.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/functors.hpp"
#include "kernels/sequence_length.hpp"
#include "rtl/core/random.hpp"
#include "rtl/kernels/step_state.hpp"

namespace rtl::kernels::cpu {
namespace {

constexpr std::int64_t query_block = 64;

/// Products of tiles: in bf16 by the library, which has instructions for them, else by vectors, with room for a
/// transposed tile for each thread.
template <typename T>
class TileProducts {
 public:
  TileProducts(const Device& device, int team, std::int64_t room)
      : team_(team), size_(room), rooms_(device, team * room) {}
  void prepare(const Problem<T>&) const {}
  void multiply(const Problem<T>& p) const {
    const T* b = p.b;
    std::int64_t b_row = p.ldb;
    if (p.transpose_b) {
      T* const room = rooms_.data() + (team_ == 1 ? 0 : omp_get_thread_num()) * size_;
      transpose_tile(p.b, p.ldb, p.n, p.k, room, p.n);
      b = room;
      b_row = p.n;
    }
    multiply_tile(TileProduct<T>{p.a, p.transpose_a ? 1 : p.lda, p.transpose_a ? p.lda : 1, b, b_row, p.c, p.ldc, p.m,
                                 p.n, p.k, p.beta != T{0}});
  }

 private:
  int team_;
  std::int64_t size_;
  Scratch<T> rooms_;
};
template <>
class TileProducts<bfloat16> : public Products<bfloat16, float> {
 public:
  TileProducts(const Device& device, int team, std::int64_t) : Products(device, team) {}
};

/// Heads [N, T, H, D], in elements from one to the next.
template <typename T>
struct Heads {
  T* data;
  std::int64_t sequence, position, head;
  template <typename AnyView>
  explicit Heads(const AnyView& view)
      : data(view.template data_as<std::remove_const_t<T>>()),
        sequence(view.strides()[0]),
        // Libraries want at least a row's length, also where there is one row only.
        position(view.extent(1) > 1 ? view.strides()[1] : view.extent(3)),
        head(view.strides()[2]) {}
  T* at(std::int64_t n, std::int64_t t, std::int64_t h) const { return data + n * sequence + t * position + h * head; }
};

/// Asks for the first rows of a head that comes next: they are short and lie far apart, so that the processor does not
/// fetch them on its own.
template <typename... T>
[[gnu::always_inline]] inline void ask_for(std::int64_t n, std::int64_t h, std::int64_t rows, std::int64_t size,
                                           const Heads<T>&... all) {
  constexpr int second_level = 2;
  constexpr std::int64_t line = 64 / std::max({sizeof(T)...});
  for (std::int64_t t = 0; t < std::min(rows, query_block); ++t) {
    for (std::int64_t i = 0; i < size; i += line) (__builtin_prefetch(all.at(n, t, h) + i, 0, second_level), ...);
  }
}

/// What forward and backward pass share.
template <typename T>
struct Attention {
  using A = Arithmetic<T>;
  std::int64_t sequences, queries, heads, size, keys, groups, key_block;
  Heads<const T> q, k, v;
  const std::int32_t* lengths;
  bool causal;
  A scale;
  double dropout;
  std::uint64_t seed = 0, stream = 0;

  Attention(ConstView q_view, ConstView k_view, ConstView v_view, ConstView length_view, ConstView counters,
            const AttentionOptions& options)
      : sequences(q_view.extent(0)),
        queries(q_view.extent(1)),
        heads(q_view.extent(2)),
        size(q_view.extent(3)),
        keys(k_view.extent(1)),
        groups(k_view.extent(2)),
        // Small where whole blocks above the diagonal can be left out.
        key_block(std::min<std::int64_t>(k_view.extent(1), options.causal ? 128 : 512)),
        q(q_view),
        k(k_view),
        v(v_view),
        lengths(length_view.given() ? length_view.data_as<std::int32_t>() : nullptr),
        causal(options.causal),
        scale(static_cast<A>(options.scale)),
        dropout(options.dropout) {
    if (dropout == 0) return;
    const auto* state = counters.data_as<std::int64_t>();
    seed = static_cast<std::uint64_t>(state[Counters::seed]);
    stream = mix(options.name, static_cast<std::uint64_t>(state[Counters::step]));
  }

  /// How many keys a query sees.
  std::int64_t visible(std::int64_t n, std::int64_t query) const {
    const std::int64_t length = length_of(lengths, n, keys);
    return causal ? std::clamp<std::int64_t>(query + keys - queries + 1, 0, length) : length;
  }
  DroppedRow dropped(std::int64_t n, std::int64_t h, std::int64_t query, std::int64_t key) const {
    const std::int64_t row = (n * heads + h) * queries + query;
    return {seed, stream, dropout, row * keys + key};
  }
  double operations() const {
    return 4.0 * static_cast<double>(sequences * heads) * static_cast<double>(queries) * static_cast<double>(keys) *
           static_cast<double>(size) * (causal ? 0.5 : 1.0);
  }
  /// Calls f(rows, columns) for each size that a tile of scores may have.
  template <typename F>
  void for_tile_sizes(const F& f) const {
    for (const std::int64_t rows : {std::min(queries, query_block), queries % query_block}) {
      for (const std::int64_t columns : {key_block, keys % key_block}) {
        if (rows > 0 && columns > 0) f(rows, columns);
      }
    }
  }
  Problem<T, A> scores(std::int64_t rows, std::int64_t columns, const T* queries_of_tile, std::int64_t step,
                       const Heads<const T>& others, std::int64_t n, std::int64_t key, std::int64_t group,
                       A* to) const {
    return {false,           true, rows, columns,   size,    A{1}, queries_of_tile, step, others.at(n, key, group),
            others.position, A{0}, to,   key_block, nullptr, false};
  }
};

/// Tiles of A beside tiles of T, which are the same memory where T needs no rounding.
template <typename T>
constexpr bool rounds = !std::is_same_v<T, Arithmetic<T>>;

/// The room of one thread, forward.
template <typename T>
struct ForwardRoom {
  using A = Arithmetic<T>;
  A *scores, *result, *largest, *sum;
  T* probabilities;
  static std::int64_t count(const Attention<T>& a) {
    return query_block * (a.key_block * (rounds<T> ? 2 : 1) + a.size + 2);
  }
  ForwardRoom(const Attention<T>& a, A* memory)
      : scores(memory),
        result(scores + query_block * a.key_block),
        largest(result + query_block * a.size),
        sum(largest + query_block),
        probabilities(reinterpret_cast<T*>(rounds<T> ? sum + query_block : scores)) {}
};

template <typename T>
Problem<T, Arithmetic<T>> weighted_values(const Attention<T>& a, const ForwardRoom<T>& room, std::int64_t rows,
                                          std::int64_t columns, const T* values) {
  using A = Arithmetic<T>;
  return {false,        false, rows,        a.size, columns, A{1}, room.probabilities, a.key_block, values,
          a.v.position, A{1},  room.result, a.size, nullptr, false};
}

/// out and log_sum_exp of one tile of queries.
template <typename T>
void forward_tile(const Attention<T>& a, TileProducts<T>& products, const ForwardRoom<T>& room, std::int64_t n,
                  std::int64_t h, std::int64_t first, const Heads<T>& out, Arithmetic<T>* log_sum_exp) {
  using A = Arithmetic<T>;
  const std::int64_t rows = std::min(query_block, a.queries - first), group = h / (a.heads / a.groups);
  std::fill(room.result, room.result + rows * a.size, A{0});
  std::fill(room.largest, room.largest + rows, -std::numeric_limits<A>::infinity());
  std::fill(room.sum, room.sum + rows, A{0});
  const std::int64_t last_key = a.visible(n, first + rows - 1);
  for (std::int64_t key = 0; key < last_key; key += a.key_block) {
    const std::int64_t columns = std::min(a.key_block, a.keys - key);
    products.multiply(a.scores(rows, columns, a.q.at(n, first, h), a.q.position, a.k, n, key, group, room.scores));
    SoftmaxRow<T> lines[query_block];
    A factors[query_block];
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t visible = std::clamp<std::int64_t>(a.visible(n, first + i) - key, 0, columns);
      lines[i] = {room.scores + i * a.key_block,
                  room.probabilities + i * a.key_block,
                  visible,
                  columns,
                  a.scale,
                  room.largest + i,
                  room.sum + i,
                  a.dropped(n, h, first + i, key)};
    }
    softmax_rows(lines, rows, factors);
    if (key > 0) scale_rows({room.result, a.size}, factors, TileRows<A>{room.result, a.size}, rows, a.size);
    products.multiply(weighted_values(a, room, rows, columns, a.v.at(n, key, group)));
  }
  for (std::int64_t i = 0; i < rows; ++i) {
    A& sum = room.sum[i];
    log_sum_exp[(n * a.heads + h) * a.queries + first + i] = room.largest[i] + std::log(sum);
    sum = sum == A{0} ? A{0} : A{1} / sum;
  }
  scale_rows({room.result, a.size}, room.sum, TileRows<T>{out.at(n, first, h), out.position}, rows, a.size);
}

template <typename T>
void forward(const Device& device, const Attention<T>& a, const Heads<T>& out, Arithmetic<T>* log_sum_exp) {
  using A = Arithmetic<T>;
  const std::int64_t tiles = (a.queries + query_block - 1) / query_block, tasks = a.sequences * a.heads * tiles;
  const int team = blas_part_count(tasks, a.operations());
  TileProducts<T> products(device, team, a.key_block * a.size);
  const std::int64_t size = ForwardRoom<T>::count(a);
  const Scratch<A> rooms(device, team * size);
  a.for_tile_sizes([&](std::int64_t rows, std::int64_t columns) {
    const ForwardRoom<T> room(a, rooms.data());
    products.prepare(a.scores(rows, columns, a.q.data, a.q.position, a.k, 0, 0, 0, room.scores));
    products.prepare(weighted_values(a, room, rows, columns, a.v.data));
  });
  blas_tasks(tasks, team, [&](std::int64_t task) {
    const ForwardRoom<T> room(a, rooms.data() + (team == 1 ? 0 : omp_get_thread_num()) * size);
    const std::int64_t line = task / tiles;
    if (const std::int64_t next = line + 1; (task + 1) % tiles == 0 && task + 1 < tasks) {
      ask_for(next / a.heads, next % a.heads / (a.heads / a.groups), a.keys, a.size, a.k, a.v);
      ask_for(next / a.heads, next % a.heads, a.queries, a.size, a.q, out);
    }
    forward_tile(a, products, room, line / a.heads, line % a.heads, task % tiles * query_block, out, log_sum_exp);
  });
}

/// The room of one thread, backward.
template <typename T>
struct BackwardRoom {
  using A = Arithmetic<T>;
  A *scores, *gradients, *dq, *delta, *dk, *dv;
  T *probabilities, *score_gradients;
  static std::int64_t count(const Attention<T>& a) {
    return query_block * (a.key_block * (rounds<T> ? 4 : 2) + a.size + 1) + 2 * a.keys * a.size;
  }
  BackwardRoom(const Attention<T>& a, A* memory)
      : scores(memory),
        gradients(scores + query_block * a.key_block),
        dq(gradients + query_block * a.key_block),
        delta(dq + query_block * a.size),
        dk(delta + query_block),
        dv(dk + a.keys * a.size),
        probabilities(reinterpret_cast<T*>(rounds<T> ? dv + a.keys * a.size : scores)),
        score_gradients(
            reinterpret_cast<T*>(rounds<T> ? dv + a.keys * a.size + query_block * a.key_block : gradients)) {}
};

template <typename T>
struct BackwardViews {
  Heads<const T> out, dout;
  const Arithmetic<T>* log_sum_exp;
  Heads<T> dq, dk, dv;
};

/// sums [columns, size] += tile^T rows-of-queries.
template <typename T>
Problem<T, Arithmetic<T>> for_keys(const Attention<T>& a, std::int64_t rows, std::int64_t columns, const T* tile,
                                   const T* others, std::int64_t step, Arithmetic<T>* sums) {
  using A = Arithmetic<T>;
  return {true,   false, columns, a.size, rows,   A{1},    tile, a.key_block,
          others, step,  A{1},    sums,   a.size, nullptr, false};
}

/// dq += score gradients k.
template <typename T>
Problem<T, Arithmetic<T>> for_queries(const Attention<T>& a, const BackwardRoom<T>& room, std::int64_t rows,
                                      std::int64_t columns, const T* keys) {
  using A = Arithmetic<T>;
  return {false,        false, rows,    a.size, columns, A{1}, room.score_gradients, a.key_block, keys,
          a.k.position, A{1},  room.dq, a.size, nullptr, false};
}

/// dq of one tile of queries, and its shares of dk and dv.
template <typename T>
void backward_tile(const Attention<T>& a, TileProducts<T>& products, const BackwardRoom<T>& room,
                   const BackwardViews<T>& views, std::int64_t n, std::int64_t h, std::int64_t first) {
  using A = Arithmetic<T>;
  const std::int64_t rows = std::min(query_block, a.queries - first), group = h / (a.heads / a.groups);
  const A* log_sum_exp = views.log_sum_exp + (n * a.heads + h) * a.queries + first;
  const T *q = a.q.at(n, first, h), *dout = views.dout.at(n, first, h);
  dots_of_rows(TileRows<const T>{views.out.at(n, first, h), views.out.position},
               TileRows<const T>{dout, views.dout.position}, rows, a.size, room.delta);
  std::fill(room.dq, room.dq + rows * a.size, A{0});
  const std::int64_t last_key = a.visible(n, first + rows - 1);
  for (std::int64_t key = 0; key < last_key; key += a.key_block) {
    const std::int64_t columns = std::min(a.key_block, a.keys - key);
    products.multiply(a.scores(rows, columns, q, a.q.position, a.k, n, key, group, room.scores));
    products.multiply(a.scores(rows, columns, dout, views.dout.position, a.v, n, key, group, room.gradients));
    SoftmaxGradientRow<T> lines[query_block];
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t visible = std::clamp<std::int64_t>(a.visible(n, first + i) - key, 0, columns);
      const std::int64_t at = i * a.key_block;
      lines[i] = {room.scores + at,
                  room.gradients + at,
                  room.probabilities + at,
                  room.score_gradients + at,
                  visible,
                  columns,
                  a.scale,
                  log_sum_exp[i],
                  room.delta[i],
                  a.dropped(n, h, first + i, key)};
    }
    softmax_gradient_rows(lines, rows);
    products.multiply(
        for_keys(a, rows, columns, room.probabilities, dout, views.dout.position, room.dv + key * a.size));
    products.multiply(for_keys(a, rows, columns, room.score_gradients, q, a.q.position, room.dk + key * a.size));
    products.multiply(for_queries(a, room, rows, columns, a.k.at(n, key, group)));
  }
  scale_rows({room.dq, a.size}, nullptr, TileRows<T>{views.dq.at(n, first, h), views.dq.position}, rows, a.size);
}

template <typename T>
void backward(const Device& device, const Attention<T>& a, const BackwardViews<T>& views) {
  using A = Arithmetic<T>;
  const std::int64_t tasks = a.sequences * a.groups, share = a.heads / a.groups;
  const int team = blas_part_count(tasks, 2.5 * a.operations());
  TileProducts<T> products(device, team, a.key_block * a.size);
  const std::int64_t size = BackwardRoom<T>::count(a);
  const Scratch<A> rooms(device, team * size);
  a.for_tile_sizes([&](std::int64_t rows, std::int64_t columns) {
    const BackwardRoom<T> room(a, rooms.data());
    products.prepare(a.scores(rows, columns, a.q.data, a.q.position, a.k, 0, 0, 0, room.scores));
    products.prepare(a.scores(rows, columns, views.dout.data, views.dout.position, a.v, 0, 0, 0, room.gradients));
    products.prepare(for_keys(a, rows, columns, room.probabilities, views.dout.data, views.dout.position, room.dv));
    products.prepare(for_keys(a, rows, columns, room.score_gradients, a.q.data, a.q.position, room.dk));
    products.prepare(for_queries(a, room, rows, columns, a.k.data));
  });
  blas_tasks(tasks, team, [&](std::int64_t task) {
    const BackwardRoom<T> room(a, rooms.data() + (team == 1 ? 0 : omp_get_thread_num()) * size);
    const std::int64_t n = task / a.groups, group = task % a.groups;
    if (const std::int64_t next = task + 1; next < tasks) {
      ask_for(next / a.groups, next % a.groups, a.keys, a.size, a.k, a.v);
      ask_for(next / a.groups, next % a.groups * share, a.queries, a.size, a.q, views.out, views.dout, views.dq);
      ask_for(next / a.groups, next % a.groups, a.keys, a.size, views.dk, views.dv);
    }
    std::fill(room.dk, room.dk + 2 * a.keys * a.size, A{0});
    for (std::int64_t h = group * share; h < (group + 1) * share; ++h) {
      for (std::int64_t first = 0; first < a.queries; first += query_block) {
        backward_tile(a, products, room, views, n, h, first);
      }
    }
    scale_rows({room.dk, a.size}, nullptr, TileRows<T>{views.dk.at(n, 0, group), views.dk.position}, a.keys, a.size);
    scale_rows({room.dv, a.size}, nullptr, TileRows<T>{views.dv.at(n, 0, group), views.dv.position}, a.keys, a.size);
  });
}

/// Whether activations of this dtype have to be widened to f32, in which products of bf16 are exact.
bool needs_widening(ConstView x) { return x.dtype() == DType::bf16 && !multiplies_bf16(); }

}  // namespace

void attention_forward(const Device& device, ConstView q, ConstView k, ConstView v, ConstView lengths,
                       ConstView counters, const AttentionOptions& options, View out, View log_sum_exp) {
  if (needs_widening(q)) {
    const Widened wide_q(device, q), wide_k(device, k), wide_v(device, v), result(device, out.shape());
    cpu::attention_forward(device, wide_q.view(), wide_k.view(), wide_v.view(), lengths, counters, options,
                           result.view(), log_sum_exp);
    return result.round_to(out);
  }
  functors::visit_activations(q.dtype(), [&](auto zero) {
    using T = decltype(zero);
    forward(device, Attention<T>(q, k, v, lengths, counters, options), Heads<T>(out),
            log_sum_exp.data_as<Arithmetic<T>>());
  });
}

void attention_backward(const Device& device, ConstView q, ConstView k, ConstView v, ConstView lengths,
                        ConstView counters, const AttentionOptions& options, ConstView out, ConstView log_sum_exp,
                        ConstView dout, View dq, View dk, View dv) {
  if (needs_widening(q)) {
    const Widened wide_q(device, q), wide_k(device, k), wide_v(device, v), wide_out(device, out), g(device, dout);
    const Widened gq(device, dq.shape()), gk(device, dk.shape()), gv(device, dv.shape());
    cpu::attention_backward(device, wide_q.view(), wide_k.view(), wide_v.view(), lengths, counters, options,
                            wide_out.view(), log_sum_exp, g.view(), gq.view(), gk.view(), gv.view());
    gq.round_to(dq);
    gk.round_to(dk);
    return gv.round_to(dv);
  }
  functors::visit_activations(q.dtype(), [&](auto zero) {
    using T = decltype(zero);
    backward(device, Attention<T>(q, k, v, lengths, counters, options),
             BackwardViews<T>{Heads<const T>(out), Heads<const T>(dout), log_sum_exp.data_as<Arithmetic<T>>(),
                              Heads<T>(dq), Heads<T>(dk), Heads<T>(dv)});
  });
}

}  // namespace rtl::kernels::cpu
