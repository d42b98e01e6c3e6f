// Inverted dropout without a stored mask: whether element i is dropped is a pure function of (seed, stream, i), so the
// backward pass is the same call on the gradient.
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// y[i] = x[i] / (1 - probability) if Philox(seed, stream).uniform(i) >= probability, else 0 (i counts row-major).
/// Contiguous, f32, f64 or bf16; y may be x. Throws ValueError for a probability outside [0, 1).
void dropout(const Device& device, ConstView x, double probability, std::uint64_t seed, std::uint64_t stream, View y);

/// The same with the seed, and the stream mix(name, step), of counters (rtl/kernels/step_state.hpp) [4]. With counters
/// [R, 4] for R replicas: y is [R, ...], x too or shared, and every replica counts its elements from 0.
void dropout(const Device& device, ConstView x, double probability, std::uint64_t name, ConstView counters, View y);

/// y[i] = low + (high - low) * Philox(seed, stream).uniform(i). Contiguous, f32, f64 (f64 draws 53 bits).
void uniform(const Device& device, double low, double high, std::uint64_t seed, std::uint64_t stream, View y);

/// y[i] = mean + deviation * standard normal, by Box-Muller on block i / 2 of the stream, computed in f64 and rounded
/// once.
void normal(const Device& device, double mean, double deviation, std::uint64_t seed, std::uint64_t stream, View y);

}  // namespace rtl::kernels
