// Row gather: how mini-batches leave a data set or a feature cache.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>

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

/// Features in the form in which they are stored, and what becomes of them where they are read.
struct StoredFeatures {
  /// Of a tensor, too, which must live as long.
  template <std::convertible_to<ConstView> T>
  StoredFeatures(const T& all, ConstView of_samples = {}, ConstView change = {},
                 float largest = std::numeric_limits<float>::infinity())
      : table(all), places(of_samples), transform(change), bound(largest) {}

  ConstView table;      ///< [n, p], f32, bf16, f16 or u8
  ConstView places;     ///< i64 [N], which row of the table each sample has; absent: sample i has row i
  ConstView transform;  ///< f32 [3, p]: shift, factor and offset of each column; absent: nothing is done
  float bound;          ///< beyond +-bound a value becomes it; with a transform alone

  std::int64_t samples() const { return places.given() ? places.extent(0) : table.extent(0); }
  std::int64_t columns() const { return table.extent(1); }
};

/// Row i of out is that of sample rows[i]: (value - shift) * factor + offset for each column, clipped, in f32, and
/// converted to out's dtype (f32, f64 or bf16) in the same pass. rows i64, out [m, p] or [R, m, p], and counters as
/// gather_rows has them; a number that is no sample's, or a place that is no row's, gives a row of zeros. NaN stays
/// NaN. Reads m p elements of the table and 3 p numbers, writes m p.
void gather_features(const Device& device, const StoredFeatures& features, ConstView rows, View out,
                     ConstView counters = {});

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
