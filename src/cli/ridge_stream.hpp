// Ridge regression on .npy files that are larger than memory.
#pragma once

#include <string>
#include <vector>

#include "cli/json_report.hpp"
#include "rtl/solvers/gram_stream.hpp"

namespace rtl::cli {

/// What is read: .npy files, [n, p], [n, k] or [n], weights [n] or none, a start [p, k] or none.
struct RidgeStream {
  std::string features, targets, weights, start;
  std::vector<double> penalties;
  bool intercept = true;
  bool values = false;  ///< targets are said to be values, not classes
};

struct RidgeStreamResult {
  solvers::RidgeScores scores;
  Tensor coefficients, intercept;  ///< f64 [p, k], [k], of the best penalty
  std::int64_t rows = 0;
  std::string device;
  std::vector<std::string> notes;  ///< what was told about the files

  std::string describe() const;
  Json to_json() const;
};

/// Two passes over the rows: sums, then leave-one-out errors. Memory for (p + k)^2 numbers and a block. Throws
/// FormatError for files that are no such arrays or hold NaN and infinities, ShapeError for numbers of rows that
/// differ.
RidgeStreamResult ridge_by_blocks(const RidgeStream& stream, const Device& device);

}  // namespace rtl::cli
