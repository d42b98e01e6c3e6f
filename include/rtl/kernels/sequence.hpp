// Sequences of tokens: lengths, pooling, and rotary positions. Ids are i32 [N, T], sequences one below the other, each
// filled up at its end with negative numbers (padding). Lengths are i32 [N]; a length outside [0, T] counts as the
// nearest end of that range. Bandwidth bound. Deterministic, whatever the number of threads.
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"

namespace rtl::kernels {

/// lengths[n] = the number of ids in front of the first negative one of row n. Throws ShapeError, DTypeError,
/// DeviceError, as all of these do.
void sequence_lengths(const Device& device, ConstView ids, View lengths);

/// y[n] = the mean of x[n, t] over t < lengths[n]; zeros for a length of 0. x [N, T, C] f32, f64 or bf16, y [N, C] of
/// x's dtype, or f32 from bf16; contiguous. Without lengths (not given) all positions count.
void sequence_mean(const Device& device, ConstView x, ConstView lengths, View y);

/// dx[n, t] = dy[n] / lengths[n] where t < lengths[n], else 0: the gradient of sequence_mean. Every element is written.
void sequence_mean_backward(const Device& device, ConstView dy, ConstView lengths, View dx);

/// Which elements of a head are the two coordinates that rotary positions turn: `interleaved` 2i and 2i + 1 (Su et al.
/// 2021; Llama as published), `halves` i and i + head_size / 2 (GPT-NeoX; Llama in Hugging Face's layout).
enum class RotaryPairs : std::uint8_t { interleaved, halves };

/// Turns pair i of each of the first `heads` heads of x [N, T, H, head_size] at position t by the angle of cosines[t,
/// i] and sines[t, i]; the other heads are copied. `back` turns the other way, which is the gradient. cosines and sines
/// are [at least T, head_size / 2], of the dtype of x's parameters (f32 with bf16). Contiguous; y may be x. Throws
/// ValueError for an odd head_size and for `heads` outside [0, H].
void rotate_positions(const Device& device, ConstView x, ConstView cosines, ConstView sines, RotaryPairs pairs,
                      std::int64_t heads, bool back, View y);

}  // namespace rtl::kernels
