// Softmax and cross-entropy on the host: long rows through a padded buffer, short ones transposed, a row a lane.
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/backend/softmax.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/functors.hpp"
#include "kernels/label_source.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/softmax.cpp"
#include "kernels/cpu/targets.hpp"
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rtl::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Elements that a row's buffer needs.
template <typename T>
std::int64_t padded(std::int64_t classes) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  return (classes + lanes - 1) / lanes * lanes;
}

constexpr std::int64_t longest_short_row = 32, most_lanes = 16;

/// exp(x - largest). Highway's Exp is not defined for NaN, which has to come through.
template <class D, class V>
V shifted_exp(D d, V x, V largest) {
  const V shifted = hn::Sub(x, largest);
  return hn::IfThenElse(hn::IsNaN(shifted), shifted, hn::Exp(d, shifted));
}

/// Replaces the padded row by its softmax; returns log(sum(exp(x))).
template <typename T>
double softmax_row(T* row, std::int64_t classes, std::int64_t length) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = classes; i < length; ++i) row[i] = -std::numeric_limits<T>::infinity();
  auto largest = hn::LoadU(d, row);
  for (std::int64_t i = lanes; i < length; i += lanes) largest = hn::Max(largest, hn::LoadU(d, row + i));
  largest = hn::MaxOfLanes(d, largest);
  auto sums = hn::Zero(d);
  for (std::int64_t i = 0; i < length; i += lanes) {
    const auto e = shifted_exp(d, hn::LoadU(d, row + i), largest);
    hn::StoreU(e, d, row + i);
    sums = hn::Add(sums, e);
  }
  const T sum = hn::GetLane(hn::SumOfLanes(d, sums));
  const auto scale = hn::Set(d, T{1} / sum);
  for (std::int64_t i = 0; i < length; i += lanes) hn::StoreU(hn::Mul(hn::LoadU(d, row + i), scale), d, row + i);
  return std::log(static_cast<double>(sum)) + static_cast<double>(hn::GetLane(largest));
}

/// Rows [begin, end); returns the sum of their losses if there are labels. `row` is room for a padded row.
template <typename T>
double softmax_long_rows(const T* logits, const LabelSource& labels, T* probabilities, std::int64_t classes,
                         std::int64_t begin, std::int64_t end, T* row) {
  const std::int64_t length = padded<T>(classes);
  const std::size_t bytes = static_cast<std::size_t>(classes) * sizeof(T);
  double loss = 0;
  for (std::int64_t i = begin; i < end; ++i) {
    const T* from = logits + i * classes;
    const double chosen = labels.given() ? static_cast<double>(from[labels[i]]) : 0.0;
    std::memcpy(row, from, bytes);
    loss += softmax_row(row, classes, length) - chosen;
    std::memcpy(probabilities + i * classes, row, bytes);
  }
  return loss;
}

/// Softmax down the columns of tile [classes][lanes]; logs[lane] = log(sum(exp(x))).
template <typename T>
void softmax_columns(T* tile, std::int64_t classes, T* logs) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int64_t count = classes * lanes;
  auto largest = hn::LoadU(d, tile);
  for (std::int64_t i = lanes; i < count; i += lanes) largest = hn::Max(largest, hn::LoadU(d, tile + i));
  auto sum = hn::Zero(d);
  for (std::int64_t i = 0; i < count; i += lanes) {
    const auto e = shifted_exp(d, hn::LoadU(d, tile + i), largest);
    hn::StoreU(e, d, tile + i);
    sum = hn::Add(sum, e);
  }
  const auto scale = hn::Div(hn::Set(d, T{1}), sum);
  for (std::int64_t i = 0; i < count; i += lanes) hn::StoreU(hn::Mul(hn::LoadU(d, tile + i), scale), d, tile + i);
  hn::StoreU(hn::Add(hn::Log(d, sum), largest), d, logs);
}

/// The same for rows so short that a vector holds one element of each of several rows.
template <typename T>
double softmax_short_rows(const T* logits, const LabelSource& labels, T* probabilities, std::int64_t classes,
                          std::int64_t begin, std::int64_t end) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  T tile[longest_short_row * most_lanes], logs[most_lanes];
  double loss = 0;
  for (std::int64_t row = begin; row < end; row += lanes) {
    const std::int64_t rows = end - row < lanes ? end - row : lanes;
    const T* from = logits + row * classes;
    // Lanes without a row repeat the last one.
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      const T* source = from + (lane < rows ? lane : rows - 1) * classes;
      for (std::int64_t c = 0; c < classes; ++c) tile[c * lanes + lane] = source[c];
    }
    double chosen = 0;
    for (std::int64_t lane = 0; labels.given() && lane < rows; ++lane) {
      chosen += static_cast<double>(from[lane * classes + labels[row + lane]]);
    }
    softmax_columns(tile, classes, logs);
    for (std::int64_t lane = 0; lane < rows; ++lane) {
      loss += static_cast<double>(logs[lane]);
      T* to = probabilities + (row + lane) * classes;
      for (std::int64_t c = 0; c < classes; ++c) to[c] = tile[c * lanes + lane];
    }
    loss -= chosen;
  }
  return loss;
}

template <typename T>
double softmax_rows(const T* logits, const LabelSource& labels, T* probabilities, std::int64_t classes,
                    std::int64_t begin, std::int64_t end, T* row) {
  if (classes > longest_short_row) return softmax_long_rows(logits, labels, probabilities, classes, begin, end, row);
  return softmax_short_rows(logits, labels, probabilities, classes, begin, end);
}

double softmax_target_f32(const float* logits, const LabelSource& labels, float* probabilities, std::int64_t classes,
                          std::int64_t begin, std::int64_t end, float* row) {
  return softmax_rows(logits, labels, probabilities, classes, begin, end, row);
}

double softmax_target_f64(const double* logits, const LabelSource& labels, double* probabilities, std::int64_t classes,
                          std::int64_t begin, std::int64_t end, double* row) {
  return softmax_rows(logits, labels, probabilities, classes, begin, end, row);
}

}  // namespace rtl::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rtl::kernels::cpu {
namespace {

HWY_EXPORT(softmax_target_f32);
HWY_EXPORT(softmax_target_f64);

/// About as many elements as elements_per_thread in the time of a plain loop: exp is dear.
constexpr std::int64_t cost_of_exp = 8;

/// Rows [first, first + rows) of all; returns the sum of their losses if there are labels.
template <typename T>
double softmax_part(const Device& device, const T* logits, const LabelSource& labels, T* probabilities,
                    std::int64_t classes, std::int64_t first, std::int64_t rows, int chunks) {
  const Scratch<double> losses(device, chunks);
  constexpr std::int64_t most_lanes = HWY_NAMESPACE::most_lanes;
  const std::int64_t length = (classes + most_lanes - 1) / most_lanes * most_lanes;
  const Scratch<T> room(device, chunks * length);
  parallel_chunks(rows, chunks, [&](int chunk, std::int64_t begin, std::int64_t end) {
    double& loss = losses[chunk];
    T* row = room.data() + chunk * length;
    begin += first;
    end += first;
    if constexpr (std::is_same_v<T, float>) {
      loss = HWY_DYNAMIC_DISPATCH(softmax_target_f32)(logits, labels, probabilities, classes, begin, end, row);
    } else {
      loss = HWY_DYNAMIC_DISPATCH(softmax_target_f64)(logits, labels, probabilities, classes, begin, end, row);
    }
  });
  double total = 0;
  for (const double loss : losses) total += loss;
  return total;
}

/// Calls f(replica, chunks): replicas so small that one of them is no work for several threads are shared among these.
/// A replica is cut in the same way as if it were alone, so its sums have the same bits.
template <typename F>
void for_replicas(std::int64_t replicas, std::int64_t rows, std::int64_t classes, const F& f) {
  const int chunks = chunk_count(rows, grain_of(classes * cost_of_exp));
  if (chunks > 1 || replicas == 1) {
    for (std::int64_t replica = 0; replica < replicas; ++replica) f(replica, chunks);
    return;
  }
  parallel_ranges(replicas, grain_of(rows * classes * cost_of_exp), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t replica = begin; replica < end; ++replica) f(replica, 1);
  });
}

/// probabilities may be dlogits, which they become.
template <typename T>
void to_gradient(const T* probabilities, const LabelSource& labels, T dloss, std::int64_t divisor, std::int64_t classes,
                 std::int64_t begin, std::int64_t end, T* dlogits) {
  const T scale = static_cast<T>(static_cast<double>(dloss) / static_cast<double>(divisor));
  for (std::int64_t row = begin; row < end; ++row) {
    const std::int64_t at = row * classes, label = at + labels[row];
    const T chosen = (probabilities[label] - T{1}) * scale;
#pragma omp simd
    for (std::int64_t c = at; c < at + classes; ++c) dlogits[c] = probabilities[c] * scale;
    dlogits[label] = chosen;
  }
}

}  // namespace

void softmax(const Device& device, ConstView logits, View probabilities) {
  functors::visit_floating(logits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t rows = logits.extent(0), classes = logits.extent(1);
    softmax_part(device, logits.data_as<T>(), LabelSource(), probabilities.data_as<T>(), classes, 0, rows,
                 chunk_count(rows, grain_of(classes * cost_of_exp)));
  });
}

void cross_entropy_forward(const Device& device, ConstView logits, const Labels& labels, View probabilities,
                           View loss) {
  functors::visit_floating(logits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t rows = logits.extent(-2), classes = logits.extent(-1);
    const LabelSource source(labels, rows);
    for_replicas(loss.count(), rows, classes, [&](std::int64_t replica, int chunks) {
      const double total = softmax_part(device, logits.data_as<T>(), source, probabilities.data_as<T>(), classes,
                                        replica * rows, rows, chunks);
      loss.data_as<T>()[replica] = static_cast<T>(total / static_cast<double>(rows));
    });
  });
}

void cross_entropy_backward(const Device&, ConstView probabilities, const Labels& labels, ConstView dloss,
                            View dlogits) {
  functors::visit_floating(dlogits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t rows = dlogits.extent(-2), classes = dlogits.extent(-1), all = dlogits.count() / classes;
    const LabelSource source(labels, rows);
    const T* scales = dloss.data_as<T>();
    parallel_ranges(all, grain_of(classes), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t replica = begin / rows; replica * rows < end; ++replica) {
        to_gradient(probabilities.data_as<T>(), source, scales[dloss.count() == 1 ? 0 : replica], rows, classes,
                    std::max(begin, replica * rows), std::min(end, (replica + 1) * rows), dlogits.data_as<T>());
      }
    });
  });
}

void cross_entropy_with_gradient(const Device& device, ConstView logits, const Labels& labels, View dlogits,
                                 View loss) {
  functors::visit_floating(logits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t rows = logits.extent(-2), classes = logits.extent(-1);
    const LabelSource source(labels, rows);
    T* to = dlogits.data_as<T>();
    for_replicas(loss.count(), rows, classes, [&](std::int64_t replica, int chunks) {
      const std::int64_t first = replica * rows;
      const double total = softmax_part(device, logits.data_as<T>(), source, to, classes, first, rows, chunks);
      loss.data_as<T>()[replica] = static_cast<T>(total / static_cast<double>(rows));
      parallel_chunks(rows, chunks, [&](int, std::int64_t begin, std::int64_t end) {
        to_gradient(to, source, T{1}, rows, classes, first + begin, first + end, to);
      });
    });
  });
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE
