// Row gather: how mini-batches leave a data set or a feature cache.
#pragma once

#include <cstdint>

#include "rtl/core/tensor.hpp"
#include "rtl/kernels/image_augmentation.hpp"

namespace rtl::kernels {

/// out[i] = table[rows[i]] with conversion to out's dtype. table [n, ...] contiguous (f32, f64, bf16, f16, u8, i32),
/// rows i64 or i32 [m], out [m, ...] (f32, f64 or bf16, or the table's dtype). A number outside [0, n) gives a row of
/// zeros: negative ones are the padding of sequences. ValueError if rows are asked of a table without any.
///
/// With `counters` (rtl/kernels/step_state.hpp) rows [N] are those of a whole epoch, and the batch is the m of them
/// from `begin` on, of which the caller sees that they are there. With out [R, m, ...] the same is done for R replicas
/// in one launch: rows and counters then have a leading axis too, or are shared; the table is shared.
void gather_rows(const Device& device, ConstView table, ConstView rows, View out, ConstView counters = {});

/// Like gather_rows for u8 images [n, H, W, C] with normalisation: out[..., c] = table[..., c] * scale[c] + shift[c].
/// The caller keeps row numbers in [0, n).
/// out is f32, f64 or bf16 (calculated in f32, rounded once); scale and shift [C] have out's dtype, f32 with bf16.
void gather_images(const Device& device, ConstView table, ConstView rows, ConstView scale, ConstView shift, View out,
                   ConstView counters = {});

/// gather_images of images that are changed at random: what becomes of position i of a batch is drawn from the blocks
/// 2 i and 2 i + 1 of Philox(counters[seed], mix(name, counters[step])), whatever lies there, so it is the same on
/// every device, for each of R replicas and alone. Each kind of change has draws of its own: one more leaves the others
/// as they are. Counters are needed. Throws ValueError for what ImageAugmentation::fault finds.
void gather_augmented_images(const Device& device, ConstView table, ConstView rows, ConstView scale, ConstView shift,
                             const ImageAugmentation& augmentation, std::uint64_t name, ConstView counters, View out);

/// table[rows[i]] += values[i]; rows may repeat, the order of additions is fixed; a number that is no row is passed
/// over. f32, f64.
void scatter_add_rows(const Device& device, ConstView values, ConstView rows, View table);

}  // namespace rtl::kernels
