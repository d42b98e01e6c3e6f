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

  RTL_HOST_DEVICE std::int64_t replica(std::int64_t i) const { return i < count ? 0 : i / count; }
  /// In the order of the replica.
  RTL_HOST_DEVICE std::int64_t position(std::int64_t i) const {
    const std::int64_t begin = counters == nullptr ? 0 : counters[replica(i) * counters_step + Counters::begin];
    return begin + i - replica(i) * count;
  }
  RTL_HOST_DEVICE std::int64_t operator()(std::int64_t i) const {
    return static_cast<std::int64_t>(rows[replica(i) * rows_step + position(i)]);
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

/// The same for a batch that comes later; -1 behind the end of the order.
struct PlacedRowsAhead {
  PlacedRows placed;       ///< of an order that begins `after` positions behind the begin of the true one
  std::int64_t positions;  ///< that this order has

  RTL_HOST_DEVICE std::int64_t operator()(std::int64_t i) const {
    return placed.samples.position(i) < positions ? placed(i) : -1;
  }
};

/// Of `count` rows of one replica, from `after` positions behind the counters' begin on.
inline PlacedRowsAhead placed_rows_ahead(const StoredFeatures& features, const ConstView& rows,
                                         const ConstView& counters, std::int64_t count, std::int64_t after) {
  PlacedRows placed = placed_rows(features, rows, counters, count);
  placed.samples.rows += after;
  return {placed, rows.extent(-1) - after};
}

}  // namespace rtl::kernels
