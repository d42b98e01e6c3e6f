// The model of `rtl reproduce partial`: two tasks that share a signal, and a two-layer ReLU network of patches, trained
// by full-batch gradient descent. T is float or double.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::studies::partial {

/// A task: x = (y (u + v), noise), u along coordinate 0 and v along coordinate `axis`; noise N(0, deviation^2) in all
/// coordinates but these two.
struct Task {
  double shared = 0;  ///< ||u||
  double own = 0;     ///< ||v||
  int axis = 1;
  double deviation = 1;
  double flips = 0;            ///< probability of an observed label that is not the clean one
  bool random_labels = false;  ///< observed labels that have nothing to do with the clean ones
};

struct Samples {
  std::vector<int> signs;   ///< clean labels, -1 or 1: the signal patch is sign * (u + v)
  std::vector<int> labels;  ///< observed
  Tensor noise;             ///< the other patch, [N, d]
  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
};

/// A function of (seed, stream): fewer samples are the first of more.
template <typename T>
Samples draw_samples(const Task& task, std::int64_t count, std::int64_t dimension, std::uint64_t seed,
                     std::uint64_t stream, const Device& device);

/// Filters [2 m, d]: rows 0 .. m - 1 are those of F_{+1}, the others of F_{-1}; N(0, deviation^2).
template <typename T>
Tensor draw_filters(std::int64_t per_sign, std::int64_t dimension, double deviation, std::uint64_t seed,
                    std::uint64_t stream, const Device& device);

/// Filters of `fresh`, of which floor(fraction * m) randomly chosen of each sign are those of `upstream`. Throws
/// ValueError for a fraction outside [0, 1], ShapeError for filters of other shapes.
struct Inheritance {
  Tensor filters;
  std::vector<bool> inherited;  ///< one a filter
};
Inheritance inherit(const Tensor& upstream, const Tensor& fresh, double fraction, std::uint64_t seed);

/// f(x) of every sample.
template <typename T>
std::vector<double> outputs(const Tensor& filters, const Task& task, const Samples& samples);
template <typename T>
double loss(const Tensor& filters, const Task& task, const Samples& samples);
/// Share of samples with sign f(x) equal to the observed label.
template <typename T>
double accuracy(const Tensor& filters, const Task& task, const Samples& samples);
/// d loss / d filters, [2 m, d].
template <typename T>
Tensor gradient(const Tensor& filters, const Task& task, const Samples& samples);

struct Descent {
  double rate = .2;
  int steps = 200;
  double stop_loss = .01;         ///< a loss below ends it
  std::vector<bool> frozen = {};  ///< filters that stay; empty: none
  /// Called before every step and at the end. `memorised` [N, 2 m]: the filters are what they were at first, plus
  /// memorised' noise, plus multiples of u + v.
  std::function<void(int step, const Tensor& filters, const Tensor& memorised)> observe = {};
};
/// Descends on the mean of log(1 + exp(-y f)). The loss at its end.
template <typename T>
double descend(Tensor& filters, const Task& task, const Samples& samples, const Descent& descent);

}  // namespace rtl::studies::partial
