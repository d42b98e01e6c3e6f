// Batch normalisation on the host: one pass for the statistics, one for the values; the threads share the rows.
#include <cmath>

#include "kernels/backend/norm.hpp"
#include "kernels/cpu/norm_passes.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/workspace.hpp"
#include "kernels/functors.hpp"

namespace rtl::kernels::cpu {
namespace {

/// A per-channel factor, repeated to the period of the passes.
template <typename T>
class Repeated {
 public:
  template <typename F>
  Repeated(const Device& device, std::int64_t channels, const F& value) : values_(device, norm_period<T>(channels)) {
    for (std::int64_t j = 0; j < values_.size(); ++j) values_[j] = static_cast<T>(value(j % channels));
  }
  const T* data() const { return values_.data(); }

 private:
  Scratch<T> values_;
};

struct Extents {
  std::int64_t rows, channels;
  explicit Extents(ConstView x) : rows(x.count() / x.extent(-1)), channels(x.extent(-1)) {}
  std::int64_t grain() const { return grain_of(channels); }
};

/// Mean and sum of squared deviations of every channel.
class Moments {
 public:
  template <typename T>
  Moments(const Device& device, const T* x, const Extents& e)
      : chunks_(chunk_count(e.rows, e.grain())),
        means_(device, chunks_ * e.channels, 0.0),
        squares_(device, chunks_ * e.channels, 0.0) {
    const std::int64_t channels = e.channels, room = norm_room<T>(channels);
    const Scratch<double> counts(device, chunks_), rooms(device, chunks_ * room);
    parallel_chunks(e.rows, chunks_, [&](int chunk, std::int64_t begin, std::int64_t end) {
      ColumnStatistics part{0, means_.data() + chunk * channels, squares_.data() + chunk * channels};
      norm_statistics(x, channels, begin, end, part, rooms.data() + chunk * room);
      counts[chunk] = part.count;
    });
    double total = counts[0];
    for (int chunk = 1; chunk < chunks_; ++chunk) {
      const double joined = total + counts[chunk];
      for (std::int64_t c = 0; c < channels; ++c) {
        const double delta = means_[chunk * channels + c] - means_[c];
        means_[c] += delta * (counts[chunk] / joined);
        squares_[c] += squares_[chunk * channels + c] + delta * delta * (total * counts[chunk] / joined);
      }
      total = joined;
    }
  }
  double mean(std::int64_t channel) const { return means_[channel]; }
  double squares(std::int64_t channel) const { return squares_[channel]; }

 private:
  int chunks_;
  Scratch<double> means_, squares_;  ///< of each chunk; those of all in the first
};

template <typename T>
const T* pointer_or_null(ConstView view) {
  return view.given() ? view.data_as<T>() : nullptr;
}

/// y from x with the per-channel mean and inverse deviation, which are callable with a channel.
template <typename T, typename Mean, typename Inverse>
void normalise(const Device& device, ConstView x, ConstView gamma, ConstView beta, const Mean& mean,
               const Inverse& inverse, View y, bool relu, ConstView residual) {
  using A = Arithmetic<T>;
  const Extents e(x);
  const A *g = gamma.data_as<A>(), *b = beta.data_as<A>();
  const Repeated<A> means(device, e.channels, mean);
  const Repeated<A> scales(device, e.channels, [&](std::int64_t c) { return static_cast<double>(g[c]) * inverse(c); });
  // What rounding the mean to A moves, the shift takes back.
  const Repeated<A> shifts(device, e.channels, [&](std::int64_t c) {
    const double rounded = static_cast<double>(static_cast<A>(mean(c)));
    return static_cast<double>(b[c]) + (rounded - mean(c)) * inverse(c) * static_cast<double>(g[c]);
  });
  const NormForward<T> pass{
      x.data_as<T>(), pointer_or_null<T>(residual), means.data(), scales.data(), shifts.data(), y.data_as<T>(), relu};
  parallel_ranges(e.rows, e.grain(),
                  [&](std::int64_t begin, std::int64_t end) { norm_forward(pass, e.channels, begin, end); });
}

template <typename T>
struct BackwardViews {
  const T *x, *y, *dy;
  T *dx, *dz;
  Arithmetic<T>*dgamma, *dbeta;
  BackwardViews(ConstView x_view, ConstView y_view, ConstView dy_view, View dx_view, View dgamma_view, View dbeta_view,
                bool relu, View dresidual)
      : x(x_view.data_as<T>()),
        y(relu ? y_view.data_as<T>() : nullptr),
        dy(dy_view.data_as<T>()),
        dx(dx_view.data_as<T>()),
        dz(dresidual.given() ? dresidual.data_as<T>() : nullptr),
        dgamma(dgamma_view.data_as<Arithmetic<T>>()),
        dbeta(dbeta_view.data_as<Arithmetic<T>>()) {}
};

/// Gradients; `inverse` is callable with a channel. With `batch_statistics` mean and deviation depend on x, too.
template <typename T, typename Inverse>
void backward(const Device& device, const BackwardViews<T>& v, const Extents& e, ConstView gamma_view,
              ConstView mean_view, const Inverse& inverse, bool batch_statistics) {
  using A = Arithmetic<T>;
  const A *gamma = gamma_view.data_as<A>(), *mean = mean_view.data_as<A>();
  const int chunks = chunk_count(e.rows, e.grain());
  const std::int64_t channels = e.channels, room = norm_room<T>(channels);
  const Repeated<A> means(device, e.channels, [&](std::int64_t c) { return mean[c]; });
  const Scratch<double> sums(device, chunks * channels, 0.0), products(device, chunks * channels, 0.0);
  const Scratch<double> rooms(device, chunks * room);
  parallel_chunks(e.rows, chunks, [&](int chunk, std::int64_t begin, std::int64_t end) {
    const std::int64_t at = chunk * channels;
    norm_sums(NormSums<T>{v.x, v.y, v.dy, means.data(), v.dz, sums.data() + at, products.data() + at}, channels, begin,
              end, rooms.data() + chunk * room);
  });
  for (std::int64_t i = channels; i < sums.size(); ++i) {
    sums[i % channels] += sums[i];
    products[i % channels] += products[i];
  }
  for (std::int64_t c = 0; c < e.channels; ++c) {
    v.dbeta[c] = static_cast<A>(sums[c]);
    v.dgamma[c] = static_cast<A>(products[c] * inverse(c));
  }
  const double share = batch_statistics ? 1.0 / static_cast<double>(e.rows) : 0.0;
  const auto scale = [&](std::int64_t c) { return static_cast<double>(gamma[c]) * inverse(c); };
  const Repeated<A> scales(device, e.channels, scale);
  const Repeated<A> slopes(device, e.channels,
                           [&](std::int64_t c) { return scale(c) * share * products[c] * inverse(c) * inverse(c); });
  const Repeated<A> offsets(device, e.channels, [&](std::int64_t c) { return scale(c) * share * sums[c]; });
  // Where the first pass has kept dz, the second need not select again.
  const bool kept = v.dz != nullptr;
  const NormBackward<T> pass{batch_statistics ? v.x : nullptr,
                             kept ? nullptr : v.y,
                             kept ? v.dz : v.dy,
                             means.data(),
                             scales.data(),
                             slopes.data(),
                             offsets.data(),
                             v.dx};
  parallel_ranges(e.rows, e.grain(),
                  [&](std::int64_t begin, std::int64_t end) { norm_backward(pass, e.channels, begin, end); });
}

/// 1 / sqrt(variance + epsilon) of a channel.
template <typename T>
auto inverse_of(const T* variance, double epsilon) {
  return [variance, epsilon](std::int64_t c) { return 1.0 / std::sqrt(static_cast<double>(variance[c]) + epsilon); };
}

}  // namespace

void batch_norm_training_forward(const Device& device, ConstView x, ConstView gamma, ConstView beta, double epsilon,
                                 double momentum, View running_mean, View running_variance, View y, View saved_mean,
                                 View saved_inverse_deviation, bool relu, ConstView residual) {
  functors::visit_activations(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using A = Arithmetic<T>;
    const Extents e(x);
    const Moments moments(device, x.data_as<T>(), e);
    const auto rows = static_cast<double>(e.rows);
    const auto inverse = [&](std::int64_t c) { return 1.0 / std::sqrt(moments.squares(c) / rows + epsilon); };
    for (std::int64_t c = 0; c < e.channels; ++c) {
      const double mean = moments.mean(c);
      const double variance = moments.squares(c) / (rows - 1);
      A& average = running_mean.data_as<A>()[c];
      A& spread = running_variance.data_as<A>()[c];
      average = static_cast<A>((1 - momentum) * static_cast<double>(average) + momentum * mean);
      spread = static_cast<A>((1 - momentum) * static_cast<double>(spread) + momentum * variance);
      saved_mean.data_as<A>()[c] = static_cast<A>(mean);
      saved_inverse_deviation.data_as<A>()[c] = static_cast<A>(inverse(c));
    }
    const auto mean = [&](std::int64_t c) { return moments.mean(c); };
    normalise<T>(device, x, gamma, beta, mean, inverse, y, relu, residual);
  });
}

void batch_norm_training_backward(const Device& device, ConstView x, ConstView y, ConstView gamma, ConstView saved_mean,
                                  ConstView saved_inverse_deviation, ConstView dy, View dx, View dgamma, View dbeta,
                                  bool relu, View dresidual) {
  functors::visit_activations(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto* saved = saved_inverse_deviation.data_as<Arithmetic<T>>();
    backward(
        device, BackwardViews<T>(x, y, dy, dx, dgamma, dbeta, relu, dresidual), Extents(x), gamma, saved_mean,
        [saved](std::int64_t c) { return static_cast<double>(saved[c]); }, true);
  });
}

void batch_norm_evaluation_forward(const Device& device, ConstView x, ConstView gamma, ConstView beta, ConstView mean,
                                   ConstView variance, double epsilon, View y, bool relu, ConstView residual) {
  functors::visit_activations(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto* means = mean.data_as<Arithmetic<T>>();
    normalise<T>(
        device, x, gamma, beta, [means](std::int64_t c) { return static_cast<double>(means[c]); },
        inverse_of(variance.data_as<Arithmetic<T>>(), epsilon), y, relu, residual);
  });
}

void batch_norm_evaluation_backward(const Device& device, ConstView x, ConstView y, ConstView gamma, ConstView mean,
                                    ConstView variance, double epsilon, ConstView dy, View dx, View dgamma, View dbeta,
                                    bool relu, View dresidual) {
  functors::visit_activations(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    backward(device, BackwardViews<T>(x, y, dy, dx, dgamma, dbeta, relu, dresidual), Extents(x), gamma, mean,
             inverse_of(variance.data_as<Arithmetic<T>>(), epsilon), false);
  });
}

void fold_batch_norm(const Device&, ConstView w, ConstView bias, ConstView gamma, ConstView beta, ConstView mean,
                     ConstView variance, double epsilon, View folded_w, View folded_bias) {
  functors::visit_floating(w.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t outputs = w.extent(0), size = w.count() / outputs;
    const auto inverse = inverse_of(variance.data_as<T>(), epsilon);
    for (std::int64_t o = 0; o < outputs; ++o) {
      const double scale = static_cast<double>(gamma.data_as<T>()[o]) * inverse(o);
      const double before = bias.given() ? static_cast<double>(bias.data_as<T>()[o]) : 0.0;
      const double centred = before - static_cast<double>(mean.data_as<T>()[o]);
      folded_bias.data_as<T>()[o] = static_cast<T>(centred * scale + static_cast<double>(beta.data_as<T>()[o]));
      for (std::int64_t i = o * size; i < (o + 1) * size; ++i) {
        folded_w.data_as<T>()[i] = static_cast<T>(static_cast<double>(w.data_as<T>()[i]) * scale);
      }
    }
  });
}

}  // namespace rtl::kernels::cpu
