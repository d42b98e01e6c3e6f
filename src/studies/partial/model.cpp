#include "studies/partial/model.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rtl/core/error.hpp"
#include "rtl/core/random.hpp"
#include "rtl/kernels/gemm.hpp"
#include "rtl/theory/simulation.hpp"

namespace rtl::studies::partial {
namespace {

using kernels::Transpose;

constexpr std::uint64_t label_stream = 1'000'000;  // beside the noise's

/// What the samples give to every filter: activations of both patches, and after `differentiate` what the loss's
/// gradient has of each.
template <typename T>
class Pass {
 public:
  Pass(const Tensor& filters, const Task& task, const Samples& samples)
      : task_(task),
        samples_(samples),
        count_(filters.extent(0)),
        noise_({samples.size(), count_}, dtype_of<T>(), filters.device()),
        signal_(static_cast<std::size_t>(count_)),
        outputs_(samples.labels.size()) {}

  void forward(const Tensor& filters) {
    kernels::gemm(filters.device(), Transpose::no, Transpose::yes, 1, samples_.noise, filters, 0, noise_);
    const std::int64_t d = filters.extent(1), m = count_ / 2;
    const T* w = filters.data_as<T>();
    for (std::int64_t f = 0; f < count_; ++f) {
      signal_[static_cast<std::size_t>(f)] = task_.shared * w[f * d] + task_.own * w[f * d + task_.axis];
    }
    const double of_sign[] = {signal_output(-1), signal_output(1)};
    const T* h = noise_.data_as<T>();
    for (std::size_t i = 0; i < outputs_.size(); ++i, h += count_) {
      T plus = 0, minus = 0;
      for (std::int64_t f = 0; f < m; ++f) plus += std::max(h[f], T{0});
      for (std::int64_t f = m; f < count_; ++f) minus += std::max(h[f], T{0});
      outputs_[i] =
          (static_cast<double>(plus - minus) + of_sign[samples_.signs[i] > 0 ? 1 : 0]) / static_cast<double>(m);
    }
  }

  double loss() const {
    double sum = 0;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const double margin = samples_.labels[i] * outputs_[i];
      sum += margin > 0 ? std::log1p(std::exp(-margin)) : std::log1p(std::exp(margin)) - margin;
    }
    return sum / static_cast<double>(outputs_.size());
  }

  /// Turns the activations of the noise into the gradient's coefficients of the noise vectors, and those of the
  /// signal into the coefficients of u + v.
  void differentiate(const std::vector<bool>& frozen) {
    const std::int64_t m = count_ / 2;
    std::vector<double> along(signal_.size(), 0.0);
    T* h = noise_.data_as<T>();
    for (std::size_t i = 0; i < outputs_.size(); ++i, h += count_) {
      const double y = samples_.labels[i];
      const double slope = -y / (1 + std::exp(y * outputs_[i])) / static_cast<double>(count_ / 2 * samples_.size());
      const auto up = static_cast<T>(slope);
      for (std::int64_t f = 0; f < m; ++f) h[f] = h[f] > 0 ? up : T{0};
      for (std::int64_t f = m; f < count_; ++f) h[f] = h[f] > 0 ? -up : T{0};
      const double sign = samples_.signs[i];
      for (std::size_t f = 0; f < along.size(); ++f) {
        if (sign * signal_[f] > 0) along[f] += (static_cast<std::int64_t>(f) < m ? slope : -slope) * sign;
      }
    }
    signal_ = std::move(along);
    if (!frozen.empty()) freeze(frozen);
  }

  /// filters = keep * filters + factor * gradient.
  void add_gradient(double factor, double keep, Tensor& filters) const {
    kernels::gemm(filters.device(), Transpose::yes, Transpose::no, factor, noise_, samples_.noise, keep, filters);
    const std::int64_t d = filters.extent(1);
    T* w = filters.data_as<T>();
    for (std::int64_t f = 0; f < count_; ++f) {
      const double along = factor * signal_[static_cast<std::size_t>(f)];
      w[f * d] += static_cast<T>(along * task_.shared);
      w[f * d + task_.axis] += static_cast<T>(along * task_.own);
    }
  }

  const Tensor& coefficients() const { return noise_; }
  const std::vector<double>& outputs() const { return outputs_; }

 private:
  double signal_output(int sign) const {
    double sum = 0;
    const std::size_t m = signal_.size() / 2;
    for (std::size_t f = 0; f < signal_.size(); ++f) sum += (f < m ? 1 : -1) * std::max(sign * signal_[f], 0.0);
    return sum;
  }

  void freeze(const std::vector<bool>& frozen) {
    T* h = noise_.data_as<T>();
    for (std::size_t f = 0; f < frozen.size(); ++f) {
      if (!frozen[f]) continue;
      signal_[f] = 0;
      for (std::int64_t i = 0; i < samples_.size(); ++i) h[i * count_ + static_cast<std::int64_t>(f)] = 0;
    }
  }

  const Task& task_;
  const Samples& samples_;
  std::int64_t count_;
  Tensor noise_;
  std::vector<double> signal_;
  std::vector<double> outputs_;
};

template <typename T>
Tensor normals(const Shape& shape, double deviation, std::uint64_t seed, std::uint64_t stream, const Device& device) {
  const std::vector<double> values = theory::standard_normals(seed, stream, shape.count());
  Tensor tensor(shape, dtype_of<T>(), device);
  std::transform(values.begin(), values.end(), tensor.data_as<T>(),
                 [&](double value) { return static_cast<T>(deviation * value); });
  return tensor;
}

}  // namespace

template <typename T>
Samples draw_samples(const Task& task, std::int64_t count, std::int64_t dimension, std::uint64_t seed,
                     std::uint64_t stream, const Device& device) {
  Samples samples;
  samples.noise = normals<T>({count, dimension}, task.deviation, seed, stream, device);
  T* noise = samples.noise.data_as<T>();
  RandomSequence random(seed, label_stream + stream);
  for (std::int64_t i = 0; i < count; ++i) {
    noise[i * dimension] = noise[i * dimension + task.axis] = 0;
    const int sign = random.uniform() < .5 ? -1 : 1;
    const double chance = random.uniform();
    samples.signs.push_back(sign);
    samples.labels.push_back(chance < (task.random_labels ? .5 : task.flips) ? -sign : sign);
  }
  return samples;
}

template <typename T>
Tensor draw_filters(std::int64_t per_sign, std::int64_t dimension, double deviation, std::uint64_t seed,
                    std::uint64_t stream, const Device& device) {
  return normals<T>({2 * per_sign, dimension}, deviation, seed, stream, device);
}

Inheritance inherit(const Tensor& upstream, const Tensor& fresh, double fraction, std::uint64_t seed) {
  if (!(fraction >= 0 && fraction <= 1)) throw ValueError("inherit: the fraction must be from 0 to 1");
  if (upstream.shape() != fresh.shape() || upstream.dtype() != fresh.dtype()) {
    throw ShapeError("inherit: upstream filters are " + upstream.shape().to_string() + ", fresh ones " +
                     fresh.shape().to_string());
  }
  const std::int64_t m = fresh.extent(0) / 2;
  // 0.7 * 10 may lie a rounding below 7.
  const auto chosen = static_cast<std::int64_t>(std::floor(fraction * static_cast<double>(m) + 1e-9));
  Inheritance result{fresh.clone(), std::vector<bool>(static_cast<std::size_t>(2 * m), false)};
  RandomSequence random(seed, 2 * label_stream);
  for (std::int64_t sign = 0; sign < 2; ++sign) {
    const std::vector<std::int64_t> order = random.permutation(m);
    for (std::int64_t i = 0; i < chosen; ++i) {
      const std::int64_t f = sign * m + order[static_cast<std::size_t>(i)];
      copy_bytes(upstream.view().slice(0, f, f + 1), result.filters.view().slice(0, f, f + 1));
      result.inherited[static_cast<std::size_t>(f)] = true;
    }
  }
  return result;
}

template <typename T>
std::vector<double> outputs(const Tensor& filters, const Task& task, const Samples& samples) {
  Pass<T> pass(filters, task, samples);
  pass.forward(filters);
  return pass.outputs();
}

template <typename T>
double loss(const Tensor& filters, const Task& task, const Samples& samples) {
  Pass<T> pass(filters, task, samples);
  pass.forward(filters);
  return pass.loss();
}

template <typename T>
double accuracy(const Tensor& filters, const Task& task, const Samples& samples) {
  const std::vector<double> values = outputs<T>(filters, task, samples);
  std::int64_t right = 0;
  for (std::size_t i = 0; i < values.size(); ++i) right += (values[i] > 0 ? 1 : -1) == samples.labels[i] ? 1 : 0;
  return static_cast<double>(right) / static_cast<double>(values.size());
}

template <typename T>
Tensor gradient(const Tensor& filters, const Task& task, const Samples& samples) {
  Pass<T> pass(filters, task, samples);
  pass.forward(filters);
  pass.differentiate({});
  Tensor result(filters.shape(), filters.dtype(), filters.device());
  pass.add_gradient(1, 0, result);
  return result;
}

template <typename T>
double descend(Tensor& filters, const Task& task, const Samples& samples, const Descent& descent) {
  Pass<T> pass(filters, task, samples);
  Tensor memorised = Tensor::zeros({samples.size(), filters.extent(0)}, dtype_of<T>(), filters.device());
  for (int step = 0;; ++step) {
    pass.forward(filters);
    const double now = pass.loss();
    if (descent.observe) descent.observe(step, filters, memorised);
    if (step == descent.steps || now < descent.stop_loss) return now;
    pass.differentiate(descent.frozen);
    pass.add_gradient(-descent.rate, 1, filters);
    if (!descent.observe) continue;
    T* sum = memorised.data_as<T>();
    const T* part = pass.coefficients().template data_as<T>();
    for (std::int64_t i = 0; i < memorised.count(); ++i) sum[i] -= static_cast<T>(descent.rate) * part[i];
  }
}

#define RTL_PARTIAL_MODEL(T)                                                                                        \
  template Samples draw_samples<T>(const Task&, std::int64_t, std::int64_t, std::uint64_t, std::uint64_t,           \
                                   const Device&);                                                                  \
  template Tensor draw_filters<T>(std::int64_t, std::int64_t, double, std::uint64_t, std::uint64_t, const Device&); \
  template std::vector<double> outputs<T>(const Tensor&, const Task&, const Samples&);                              \
  template double loss<T>(const Tensor&, const Task&, const Samples&);                                              \
  template double accuracy<T>(const Tensor&, const Task&, const Samples&);                                          \
  template Tensor gradient<T>(const Tensor&, const Task&, const Samples&);                                          \
  template double descend<T>(Tensor&, const Task&, const Samples&, const Descent&);
RTL_PARTIAL_MODEL(float)
RTL_PARTIAL_MODEL(double)
#undef RTL_PARTIAL_MODEL

}  // namespace rtl::studies::partial
