// A recorded function of rows (images, vectors), for any number of them: chunks that fit the processor's caches, a
// thread each, one plan for each size of chunk.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "rtl/graph/passes.hpp"
#include "rtl/graph/plan.hpp"

namespace rtl::graph {

/// y[i] = f(x[i]) for each row by itself. Belongs to one thread at a time.
class RowFunction {
 public:
  /// Records f of x [rows, ...sample], which gives [rows, ...].
  using Record = std::function<Value(const Value& x)>;

  /// Records f for one row, so that faults appear here. `passes` run on every recording.
  RowFunction(const Device& device, const Shape& sample, DType dtype, Record record, PassOptions passes = {});

  /// x [rows, ...sample], y [rows, ...result], contiguous, on the device; y of the dtype that f gives. A row's result
  /// does not depend on the others, nor on the number of threads. Throws ShapeError, DTypeError.
  void operator()(ConstView x, View y);
  /// Of one row.
  const Type& result() const noexcept { return result_; }
  const Device& device() const noexcept { return device_; }

 private:
  struct Recorded {
    std::shared_ptr<const Plan> plan;
    Value x, y;
    std::size_t weights = 0;  ///< bytes of what is the same for all rows
  };
  struct Worker {
    std::shared_ptr<Arena> arena;
    std::map<std::int64_t, Execution> executions;  ///< by rows
  };

  Recorded record(std::int64_t rows) const;
  void prepare(std::int64_t rows);
  void run(Worker& worker, ConstView x, View y);

  Device device_;
  Shape sample_;
  DType dtype_;
  Record function_;
  PassOptions passes_;
  Type result_;
  std::int64_t largest_chunk_ = 1;
  std::map<std::int64_t, Recorded> recorded_;
  std::vector<Worker> workers_;
};

}  // namespace rtl::graph
