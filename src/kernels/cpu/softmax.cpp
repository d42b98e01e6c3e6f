// Softmax and cross-entropy on the host: long rows through a padded buffer, short ones transposed, a row a lane.
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/backend/softmax.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/functors.hpp"

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
double softmax_long_rows(const T* logits, const std::int32_t* labels, T* probabilities, std::int64_t classes,
                         std::int64_t begin, std::int64_t end, T* row) {
  const std::int64_t length = padded<T>(classes);
  const std::size_t bytes = static_cast<std::size_t>(classes) * sizeof(T);
  double loss = 0;
  for (std::int64_t i = begin; i < end; ++i) {
    const T* from = logits + i * classes;
    const double chosen = labels != nullptr ? static_cast<double>(from[labels[i]]) : 0.0;
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
double softmax_short_rows(const T* logits, const std::int32_t* labels, T* probabilities, std::int64_t classes,
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
    for (std::int64_t lane = 0; labels != nullptr && lane < rows; ++lane) {
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
double softmax_rows(const T* logits, const std::int32_t* labels, T* probabilities, std::int64_t classes,
                    std::int64_t begin, std::int64_t end, T* row) {
  if (classes > longest_short_row) return softmax_long_rows(logits, labels, probabilities, classes, begin, end, row);
  return softmax_short_rows(logits, labels, probabilities, classes, begin, end);
}

double softmax_target_f32(const float* logits, const std::int32_t* labels, float* probabilities, std::int64_t classes,
                          std::int64_t begin, std::int64_t end, float* row) {
  return softmax_rows(logits, labels, probabilities, classes, begin, end, row);
}

double softmax_target_f64(const double* logits, const std::int32_t* labels, double* probabilities, std::int64_t classes,
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

template <typename T>
double softmax_all(const Device& device, ConstView logits, const std::int32_t* labels, View probabilities) {
  const std::int64_t rows = logits.extent(0), classes = logits.extent(1);
  const int chunks = chunk_count(rows, grain_of(classes * cost_of_exp));
  const Scratch<double> losses(device, chunks);
  constexpr std::int64_t most_lanes = HWY_NAMESPACE::most_lanes;
  const std::int64_t length = (classes + most_lanes - 1) / most_lanes * most_lanes;
  const Scratch<T> room(device, chunks * length);
  parallel_chunks(rows, chunks, [&](int chunk, std::int64_t begin, std::int64_t end) {
    double& loss = losses[chunk];
    T* row = room.data() + chunk * length;
    if constexpr (std::is_same_v<T, float>) {
      loss = HWY_DYNAMIC_DISPATCH(softmax_target_f32)(logits.data_as<T>(), labels, probabilities.data_as<T>(), classes,
                                                      begin, end, row);
    } else {
      loss = HWY_DYNAMIC_DISPATCH(softmax_target_f64)(logits.data_as<T>(), labels, probabilities.data_as<T>(), classes,
                                                      begin, end, row);
    }
  });
  double total = 0;
  for (const double loss : losses) total += loss;
  return total;
}

}  // namespace

void softmax(const Device& device, ConstView logits, View probabilities) {
  functors::visit_floating(logits.dtype(),
                           [&](auto zero) { softmax_all<decltype(zero)>(device, logits, nullptr, probabilities); });
}

void cross_entropy_forward(const Device& device, ConstView logits, ConstView labels, View probabilities, View loss) {
  functors::visit_floating(logits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const double total = softmax_all<T>(device, logits, labels.data_as<std::int32_t>(), probabilities);
    *loss.data_as<T>() = static_cast<T>(total / static_cast<double>(logits.extent(0)));
  });
}

void cross_entropy_backward(const Device&, ConstView probabilities, ConstView labels, ConstView dloss, View dlogits) {
  functors::visit_floating(dlogits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t rows = dlogits.extent(0), classes = dlogits.extent(1);
    const T scale = static_cast<T>(static_cast<double>(*dloss.data_as<T>()) / static_cast<double>(rows));
    const T* from = probabilities.data_as<T>();
    const std::int32_t* label = labels.data_as<std::int32_t>();
    T* to = dlogits.data_as<T>();
    parallel_ranges(rows, grain_of(classes), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t at = row * classes;
        const T chosen = (from[at + label[row]] - T{1}) * scale;
#pragma omp simd
        for (std::int64_t c = 0; c < classes; ++c) to[at + c] = from[at + c] * scale;
        to[at + label[row]] = chosen;
      }
    });
  });
}

}  // namespace rtl::kernels::cpu
#endif  // HWY_ONCE
