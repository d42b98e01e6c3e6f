#include "kernels/backend/norm.hpp"

#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/values.cuh"
#include "kernels/functors.hpp"

namespace rtl::kernels::cuda {
namespace {

/// What the moments of a channel are taken about, to lose no digits to cancellation: its mean if that was computed
/// before, else its first value.
template <typename T>
struct Centre {
  const T* x;
  const double* mean;
  __device__ double operator()(std::int64_t channel) const {
    return mean == nullptr ? functors::convert<double>(x[channel]) : mean[channel];
  }
};

/// First and second moment of a channel in one pass.
template <typename T>
struct MomentTerm {
  Centre<T> centre;
  std::int64_t channels;
  __device__ Sums<2> operator()(std::int64_t row, std::int64_t channel) const {
    const double shifted = functors::convert<double>(centre.x[row * channels + channel]) - centre(channel);
    return {{shifted, shifted * shifted}};
  }
};

template <typename T>
struct ValueTerm {
  const T* x;
  std::int64_t channels;
  __device__ double operator()(std::int64_t row, std::int64_t channel) const {
    return static_cast<double>(x[row * channels + channel]);
  }
};

struct FinishMean {
  double* mean;
  double rows;
  __device__ void operator()(std::int64_t channel, std::int64_t, double total) const { mean[channel] = total / rows; }
};

template <typename T>
struct FinishMoments {
  Centre<T> centre;
  double rows, epsilon, momentum;
  Arithmetic<T>*running_mean, *running_variance, *saved_mean, *saved_inverse_deviation;
  __device__ void operator()(std::int64_t channel, std::int64_t, const Sums<2>& sums) const {
    using A = Arithmetic<T>;
    const double shift = sums.value[0] / rows;
    const double mean = centre(channel) + shift;
    const double spread = sums.value[1] / rows - shift * shift;
    const double variance = spread > 0 || spread != spread ? spread : 0.0;
    const double unbiased = variance * rows / (rows - 1);
    saved_mean[channel] = static_cast<A>(mean);
    saved_inverse_deviation[channel] = static_cast<A>(1.0 / std::sqrt(variance + epsilon));
    running_mean[channel] =
        static_cast<A>((1 - momentum) * static_cast<double>(running_mean[channel]) + momentum * mean);
    running_variance[channel] =
        static_cast<A>((1 - momentum) * static_cast<double>(running_variance[channel]) + momentum * unbiased);
  }
};

template <typename T>
struct InverseDeviation {
  double epsilon;
  __device__ T operator()(T variance) const {
    return static_cast<T>(1.0 / std::sqrt(static_cast<double>(variance) + epsilon));
  }
};

/// The vectors of a channel, and the flags, that all elementwise passes share. A is float or double.
template <typename A>
struct Channels {
  std::int64_t packs;  // of a row
  const A *mean, *inverse_deviation, *gamma;
  bool relu;
};

/// y = [relu](gamma * (x - mean) * inverse_deviation + beta [+ residual]). y may be x or the residual.
template <int width, typename T>
__device__ inline void normalise(std::int64_t count, const Channels<Arithmetic<T>>& channels, const Arithmetic<T>* beta,
                                 const T* x, const T* residual, T* y) {
  using A = Arithmetic<T>;
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t channel = i % channels.packs;
    const auto mean = load_pack<width>(channels.mean, channel);
    const auto inverse = load_pack<width>(channels.inverse_deviation, channel);
    const auto gamma = load_pack<width>(channels.gamma, channel), offset = load_pack<width>(beta, channel);
    auto value = load_values<width>(x, i);
    Pack<A, width> added{};
    if (residual != nullptr) added = load_values<width>(residual, i);
    for (int k = 0; k < width; ++k) {
      const A scale = gamma.value[k] * inverse.value[k];
      value.value[k] = (value.value[k] - mean.value[k]) * scale + offset.value[k];
      if (residual != nullptr) value.value[k] += added.value[k];
      if (channels.relu) value.value[k] = functors::Relu()(value.value[k]);
    }
    store_values<width>(y, i, value);
  }
}

template <int width, typename T>
__global__ void normalise_by_constants(std::int64_t count, const Channels<Arithmetic<T>> channels,
                                       const Arithmetic<T>* beta, const T* x, const T* residual, T* y) {
  normalise<width>(count, channels, beta, x, residual, y);
}

/// Statistics of the batch, then its normalisation: what the first reading leaves in the second-level cache, the second
/// finds there. Sums of f32 are made in f64, which has digits to spare; for f64 a reading before finds the means.
template <int width, typename T>
__global__ void __launch_bounds__(block_size, 4)
    normalise_batch(const __grid_constant__ GridReduction shape, Sums<2>* partials, double* means,
                    const __grid_constant__ FinishMoments<T> finish, std::int64_t count,
                    const __grid_constant__ Channels<Arithmetic<T>> channels, const Arithmetic<T>* beta, const T* x,
                    const T* residual, T* y) {
  RTL_SHARED(Sums<2>, partial, [block_size]);
  if constexpr (std::is_same_v<T, double>) {
    reduce_in_grid(shape, reinterpret_cast<double*>(partials), reinterpret_cast<double*>(&partial[0]), 0.0,
                   ValueTerm<T>{x, shape.columns}, functors::Add(), FinishMean{means, static_cast<double>(shape.rows)});
  }
  reduce_in_grid(shape, partials, &partial[0], Sums<2>{}, MomentTerm<T>{finish.centre, shape.columns}, AddSums(),
                 finish);
  normalise<width>(count, channels, beta, x, residual, y);
}

/// Sums of g and of g * (x - mean) * inverse_deviation, g being dy behind the ReLU.
template <typename T>
struct GradientTerm {
  std::int64_t channels;
  const T *x, *y, *dy;  // y only with ReLU
  const Arithmetic<T>*mean, *inverse_deviation;
  __device__ Sums<2> operator()(std::int64_t row, std::int64_t channel) const {
    const std::int64_t i = row * channels + channel;
    const T passed = y == nullptr ? dy[i] : functors::ReluBackward()(y[i], dy[i]);
    const auto g = functors::convert<double>(passed);
    const double centred = functors::convert<double>(x[i]) - static_cast<double>(mean[channel]);
    return {{g, g * centred * static_cast<double>(inverse_deviation[channel])}};
  }
};

/// A is float or double.
template <typename A>
struct FinishGradient {
  A *dgamma, *dbeta;
  A *mean_gradient, *mean_product;  // what the training form subtracts
  double share;                     // 1 / rows; 0 where the statistics are constants
  __device__ void operator()(std::int64_t channel, std::int64_t, const Sums<2>& sums) const {
    dbeta[channel] = static_cast<A>(sums.value[0]);
    dgamma[channel] = static_cast<A>(sums.value[1]);
    mean_gradient[channel] = static_cast<A>(sums.value[0] * share);
    mean_product[channel] = static_cast<A>(sums.value[1] * share);
  }
};

/// Sums over the batch, then dx = gamma * inverse_deviation * (g - mean_gradient - normalised x * mean_product). dx may
/// be dy.
template <int width, typename T>
__global__ void __launch_bounds__(block_size, 4)
    normalise_gradient(const __grid_constant__ GridReduction shape, Sums<2>* partials,
                       const __grid_constant__ GradientTerm<T> term,
                       const __grid_constant__ FinishGradient<Arithmetic<T>> finish, std::int64_t count,
                       const __grid_constant__ Channels<Arithmetic<T>> channels, T* dx, T* dresidual) {
  using A = Arithmetic<T>;
  RTL_SHARED(Sums<2>, partial, [block_size]);
  reduce_in_grid(shape, partials, &partial[0], Sums<2>{}, term, AddSums(), finish);
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t channel = i % channels.packs;
    const auto mean = load_pack<width>(channels.mean, channel);
    const auto inverse = load_pack<width>(channels.inverse_deviation, channel);
    const auto gamma = load_pack<width>(channels.gamma, channel);
    const auto constant = load_pack<width>(finish.mean_gradient, channel);
    const auto slope = load_pack<width>(finish.mean_product, channel);
    const auto in = load_values<width>(term.x, i);
    auto gradient = load_values<width>(term.dy, i);
    if (channels.relu) {
      const auto output = load_values<width>(term.y, i);
      for (int k = 0; k < width; ++k) {
        gradient.value[k] = functors::ReluBackward()(output.value[k], gradient.value[k]);
      }
    }
    if (dresidual != nullptr) store_values<width>(dresidual, i, gradient);
    for (int k = 0; k < width; ++k) {
      const A normalised = (in.value[k] - mean.value[k]) * inverse.value[k];
      const A rest = gradient.value[k] - constant.value[k] - normalised * slope.value[k];
      gradient.value[k] = gamma.value[k] * inverse.value[k] * rest;
    }
    store_values<width>(dx, i, gradient);
  }
}

template <typename T>
T* optional_data(const View& view) {
  return view.given() ? view.data_as<T>() : nullptr;
}
template <typename T>
const T* optional_data(const ConstView& view) {
  return view.given() ? view.data_as<T>() : nullptr;
}

template <typename T>
void launch_normalise(const Device& device, const ConstView& x, const Arithmetic<T>* mean,
                      const Arithmetic<T>* inverse_deviation, const ConstView& gamma, const ConstView& beta,
                      const View& y, bool relu, const ConstView& residual) {
  using A = Arithmetic<T>;
  const std::int64_t channels = x.extent(-1);
  const T *in = x.data_as<T>(), *added = optional_data<T>(residual);
  const auto start = [&](auto width) {
    const std::int64_t count = x.count() / width;
    launch(normalise_by_constants<width(), T>, blocks_for(count), block_size, 0, activate(device), count,
           Channels<A>{channels / width, mean, inverse_deviation, gamma.data_as<A>(), relu}, beta.data_as<A>(), in,
           added, y.data_as<T>());
  };
  with_pack_width<T>(channels, start, in, added, y.data_as<T>(), mean, inverse_deviation, gamma.data_as<A>(),
                     beta.data_as<A>());
}

struct BackwardViews {
  ConstView x, y, gamma, dy;
  View dx, dgamma, dbeta, dresidual;
  bool relu;
};

/// Both backward forms; `share` is 1 / rows in training, and 0 in evaluation.
template <typename T>
void backward(const Device& device, const BackwardViews& views, const Arithmetic<T>* mean,
              const Arithmetic<T>* inverse_deviation, double share) {
  using A = Arithmetic<T>;
  const std::int64_t channels = views.x.extent(-1), rows = views.x.count() / channels;
  const Scratch<A> mean_gradient(device, channels), mean_product(device, channels);
  const T *x = views.x.data_as<T>(), *dy = views.dy.data_as<T>();
  const A* gamma = views.gamma.data_as<A>();
  const T* y = views.relu ? views.y.data_as<T>() : nullptr;
  T *dx = views.dx.data_as<T>(), *dresidual = optional_data<T>(views.dresidual);
  const GridReduction shape = grid_reduction(rows, channels);
  const Scratch<Sums<2>> partials(device, channels * shape.first.splits);
  const GradientTerm<T> term{channels, x, y, dy, mean, inverse_deviation};
  const FinishGradient<A> finish{views.dgamma.data_as<A>(), views.dbeta.data_as<A>(), mean_gradient.get(),
                                 mean_product.get(), share};
  const auto start = [&](auto width) {
    const std::int64_t count = rows * channels / width;
    launch_cooperative(device, normalise_gradient<width(), T>, std::max(shape.tiles(), ceil_divide(count, block_size)),
                       block_size, shape, partials.get(), term, finish, count,
                       Channels<A>{channels / width, mean, inverse_deviation, gamma, views.relu}, dx, dresidual);
  };
  with_pack_width<T>(channels, start, x, y, dy, dx, dresidual, mean, inverse_deviation, gamma);
}

/// 1 / sqrt(variance + epsilon) of every channel.
template <typename T>
void invert_deviation(const Device& device, const ConstView& variance, double epsilon, T* out) {
  launch(map_contiguous<1, InverseDeviation<T>, T, T>, blocks_for(variance.count()), block_size, 0, activate(device),
         variance.count(), InverseDeviation<T>{epsilon}, out, variance.data_as<T>());
}

template <typename T>
__global__ void fold(std::int64_t outputs, std::int64_t length, double epsilon, const T* w, const T* bias,
                     const T* gamma, const T* beta, const T* mean, const T* variance, T* folded_w, T* folded_bias) {
  for (std::int64_t i = grid_thread(); i < outputs * length; i += grid_threads()) {
    const std::int64_t o = i / length;
    const double scale = static_cast<double>(gamma[o]) / std::sqrt(static_cast<double>(variance[o]) + epsilon);
    folded_w[i] = static_cast<T>(static_cast<double>(w[i]) * scale);
    if (i == o * length) {
      const double before = bias == nullptr ? 0.0 : static_cast<double>(bias[o]);
      folded_bias[o] = static_cast<T>((before - static_cast<double>(mean[o])) * scale + static_cast<double>(beta[o]));
    }
  }
}

}  // namespace

void batch_norm_training_forward(const Device& device, ConstView x, ConstView gamma, ConstView beta, double epsilon,
                                 double momentum, View running_mean, View running_variance, View y, View saved_mean,
                                 View saved_inverse_deviation, bool relu, ConstView residual) {
  functors::visit_activations(x.dtype(), [&](auto element) {
    using T = decltype(element);
    using A = Arithmetic<T>;
    const std::int64_t channels = x.extent(-1), rows = x.count() / channels;
    const GridReduction shape = grid_reduction(rows, channels);
    const Scratch<Sums<2>> partials(device, channels * shape.first.splits);
    constexpr bool mean_first = std::is_same_v<T, double>;
    const Scratch<double> means(device, mean_first ? channels : 0);
    const T *in = x.data_as<T>(), *added = optional_data<T>(residual);
    const A *weight = gamma.data_as<A>(), *offset = beta.data_as<A>();
    const FinishMoments<T> finish{{in, mean_first ? means.get() : nullptr},
                                  static_cast<double>(rows),
                                  epsilon,
                                  momentum,
                                  running_mean.data_as<A>(),
                                  running_variance.data_as<A>(),
                                  saved_mean.data_as<A>(),
                                  saved_inverse_deviation.data_as<A>()};
    const auto start = [&](auto width) {
      const std::int64_t count = x.count() / width;
      const Channels<A> vectors{channels / width, finish.saved_mean, finish.saved_inverse_deviation, weight, relu};
      launch_cooperative(device, normalise_batch<width(), T>, std::max(shape.tiles(), ceil_divide(count, block_size)),
                         block_size, shape, partials.get(), means.get(), finish, count, vectors, offset, in, added,
                         y.data_as<T>());
    };
    with_pack_width<T>(channels, start, in, added, y.data_as<T>(), finish.saved_mean, finish.saved_inverse_deviation,
                       weight, offset);
  });
}

void batch_norm_training_backward(const Device& device, ConstView x, ConstView y, ConstView gamma, ConstView saved_mean,
                                  ConstView saved_inverse_deviation, ConstView dy, View dx, View dgamma, View dbeta,
                                  bool relu, View dresidual) {
  functors::visit_activations(x.dtype(), [&](auto element) {
    using T = decltype(element);
    const double rows = static_cast<double>(x.count() / x.extent(-1));
    backward<T>(device, {x, y, gamma, dy, dx, dgamma, dbeta, dresidual, relu}, saved_mean.data_as<Arithmetic<T>>(),
                saved_inverse_deviation.data_as<Arithmetic<T>>(), 1.0 / rows);
  });
}

void batch_norm_evaluation_forward(const Device& device, ConstView x, ConstView gamma, ConstView beta, ConstView mean,
                                   ConstView variance, double epsilon, View y, bool relu, ConstView residual) {
  functors::visit_activations(x.dtype(), [&](auto element) {
    using T = decltype(element);
    const Scratch<Arithmetic<T>> inverse_deviation(device, x.extent(-1));
    invert_deviation(device, variance, epsilon, inverse_deviation.get());
    launch_normalise<T>(device, x, mean.data_as<Arithmetic<T>>(), inverse_deviation.get(), gamma, beta, y, relu,
                        residual);
  });
}

void batch_norm_evaluation_backward(const Device& device, ConstView x, ConstView y, ConstView gamma, ConstView mean,
                                    ConstView variance, double epsilon, ConstView dy, View dx, View dgamma, View dbeta,
                                    bool relu, View dresidual) {
  functors::visit_activations(x.dtype(), [&](auto element) {
    using T = decltype(element);
    const Scratch<Arithmetic<T>> inverse_deviation(device, x.extent(-1));
    invert_deviation(device, variance, epsilon, inverse_deviation.get());
    backward<T>(device, {x, y, gamma, dy, dx, dgamma, dbeta, dresidual, relu}, mean.data_as<Arithmetic<T>>(),
                inverse_deviation.get(), 0.0);
  });
}

void fold_batch_norm(const Device& device, ConstView w, ConstView bias, ConstView gamma, ConstView beta, ConstView mean,
                     ConstView variance, double epsilon, View folded_w, View folded_bias) {
  functors::visit_floating(w.dtype(), [&](auto element) {
    using T = decltype(element);
    const std::int64_t outputs = w.extent(0), length = w.count() / outputs;
    launch(fold<T>, blocks_for(w.count()), block_size, 0, activate(device), outputs, length, epsilon, w.data_as<T>(),
           optional_data<T>(bias), gamma.data_as<T>(), beta.data_as<T>(), mean.data_as<T>(), variance.data_as<T>(),
           folded_w.data_as<T>(), folded_bias.data_as<T>());
  });
}

}  // namespace rtl::kernels::cuda
