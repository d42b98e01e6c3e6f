// The labels of a batch, as the host and CUDA kernels read them.
#pragma once

#include "rtl/core/macros.hpp"
#include "rtl/core/tensor.hpp"
#include "rtl/kernels/softmax.hpp"
#include "rtl/kernels/step_state.hpp"

namespace rtl::kernels {

/// Label of row i, replicas one after the other: labels[i], or labels[rows[begin + i]] where row numbers are given.
struct LabelSource {
  const std::int32_t* labels = nullptr;
  const std::int32_t* narrow = nullptr;  ///< row numbers of either type
  const std::int64_t* wide = nullptr;
  const std::int64_t* counters = nullptr;
  std::int64_t count = 0;        ///< rows of one replica
  std::int64_t labels_step = 0;  ///< from one replica to the next; 0 where they share them
  std::int64_t rows_step = 0;
  std::int64_t counters_step = 0;

  LabelSource() = default;
  LabelSource(const Labels& given, std::int64_t replica_rows)
      : labels(given.labels.data_as<std::int32_t>()),
        counters(given.counters.given() ? given.counters.data_as<std::int64_t>() : nullptr),
        count(replica_rows),
        labels_step(!given.rows.given() && given.labels.rank() == 2 ? given.labels.extent(1) : 0),
        rows_step(given.rows.given() && given.rows.rank() == 2 ? given.rows.extent(1) : 0),
        counters_step(given.counters.given() && given.counters.rank() == 2 ? Counters::count : 0) {
    if (!given.rows.given()) return;
    if (given.rows.dtype() == DType::i32) {
      narrow = given.rows.data_as<std::int32_t>();
    } else {
      wide = given.rows.data_as<std::int64_t>();
    }
  }

  RTL_HOST_DEVICE bool given() const { return labels != nullptr; }
  RTL_HOST_DEVICE std::int32_t operator[](std::int64_t i) const {
    const std::int64_t replica = i < count ? 0 : i / count, own = i - replica * count;
    if (narrow == nullptr && wide == nullptr) return labels[replica * labels_step + own];
    const std::int64_t begin = counters == nullptr ? 0 : counters[replica * counters_step + Counters::begin];
    const std::int64_t at = replica * rows_step + begin + own;
    return labels[narrow != nullptr ? narrow[at] : wide[at]];
  }
};

}  // namespace rtl::kernels
