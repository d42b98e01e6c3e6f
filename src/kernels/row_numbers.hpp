// The row numbers of a batch, as the host and CUDA kernels read them.
#pragma once

#include "rtl/core/macros.hpp"
#include "rtl/core/tensor.hpp"
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

/// Calls f(RowNumbers) for rows of either integer type; `count` is the number of rows of one replica.
template <typename F>
void with_row_numbers(const ConstView& rows, const ConstView& counters, std::int64_t count, const F& f) {
  const auto* given = counters.given() ? counters.data_as<std::int64_t>() : nullptr;
  const std::int64_t rows_step = rows.rank() == 2 ? rows.extent(1) : 0;
  const std::int64_t counters_step = counters.given() && counters.rank() == 2 ? Counters::count : 0;
  if (rows.dtype() == DType::i32) {
    f(RowNumbers<std::int32_t>{rows.data_as<std::int32_t>(), given, count, rows_step, counters_step});
  } else {
    f(RowNumbers<std::int64_t>{rows.data_as<std::int64_t>(), given, count, rows_step, counters_step});
  }
}

}  // namespace rtl::kernels
