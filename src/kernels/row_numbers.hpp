// The row numbers of a batch, as the host and CUDA kernels read them.
#pragma once

#include "rtl/core/macros.hpp"
#include "rtl/core/tensor.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/step_state.hpp"

namespace rtl::kernels {

/// Row i of a batch, replicas one after the other: rows[replica][begin of the replica + i].
template <typename Row>
struct RowNumbers {
  const Row* rows;
  const std::int64_t* counters;  ///< null: begin is 0
  std::int64_t count;            ///< rows of one replica
  std::int64_t rows_step;        ///< from one replica to the next; 0 where they share it
  std::int64_t counters_step;

  RTL_HOST_DEVICE std::int64_t operator()(std::int64_t i) const {
    const std::int64_t replica = i < count ? 0 : i / count;
    const std::int64_t begin = counters == nullptr ? 0 : counters[replica * counters_step + Counters::begin];
    return static_cast<std::int64_t>(rows[replica * rows_step + begin + i - replica * count]);
  }
};

/// `count` is the number of rows of one replica.
template <typename Row>
RowNumbers<Row> row_numbers(const ConstView& rows, const ConstView& counters, std::int64_t count) {
  return {rows.data_as<Row>(), counters.given() ? counters.data_as<std::int64_t>() : nullptr, count,
          rows.rank() == 2 ? rows.extent(1) : 0, counters.given() && counters.rank() == 2 ? Counters::count : 0};
}

/// Calls f(RowNumbers) for rows of either integer type.
template <typename F>
void with_row_numbers(const ConstView& rows, const ConstView& counters, std::int64_t count, const F& f) {
  if (rows.dtype() == DType::i32) {
    f(row_numbers<std::int32_t>(rows, counters, count));
  } else {
    f(row_numbers<std::int64_t>(rows, counters, count));
  }
}

/// Rows of a table in which samples have places, or -1 where there is none.
struct PlacedRows {
  RowNumbers<std::int64_t> samples;
  const std::int64_t* places;  ///< null: sample i has row i
  std::int64_t placed;         ///< samples that have places

  RTL_HOST_DEVICE std::int64_t operator()(std::int64_t i) const {
    const std::int64_t sample = samples(i);
    if (places == nullptr) return sample;
    return sample >= 0 && sample < placed ? places[sample] : -1;
  }
};

/// Of `count` rows of one replica.
inline PlacedRows placed_rows(const StoredFeatures& features, const ConstView& rows, const ConstView& counters,
                              std::int64_t count) {
  const ConstView& places = features.places;
  return {row_numbers<std::int64_t>(rows, counters, count), places.given() ? places.data_as<std::int64_t>() : nullptr,
          places.given() ? places.extent(0) : 0};
}

}  // namespace rtl::kernels
