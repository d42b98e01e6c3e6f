// Rows of tables: mini-batches, and the gradient of taking them.
#include <array>
#include <cmath>

#include "graph/operations/support.hpp"
#include "rtl/graph/fetch.hpp"
#include "rtl/kernels/fetch.hpp"
#include "rtl/kernels/gather.hpp"
#include "rtl/kernels/sparse.hpp"

namespace rtl::graph {
namespace {

/// What both gathers share. Operands: table, rows, counters or nothing, then what a subclass adds. Without counters
/// every row number is used, and `count` does not matter.
class Gather : public Operation {
 public:
  explicit Gather(std::int64_t count) : count_(count) {}
  std::string attributes() const override { return count_ < 0 ? "" : fmt::format("{} from begin", count_); }
  /// One launch, unless the replicas have tables of their own, or normalise differently.
  bool runs_replicas(std::span<const Value> operands, const std::vector<bool>& replicated) const override {
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (replicated[i] && i != 1 && i != 2) return false;
    }
    return true;
  }

 protected:
  std::int64_t infer_count(std::span<const Value> operands) const {
    const Value& rows = operands[1];
    check_row_numbers(name(), rows);
    if (count_ < 0) return rows.extent(0);
    check_counters(name(), operands[2]);
    check_shape(count_ <= rows.extent(0), name(), "a batch of {} rows from an order of {}", count_, rows.extent(0));
    return count_;
  }
  Shape infer_shape(std::span<const Value> operands) const {
    const Value& table = operands[0];
    check_shape(table.rank() >= 1, name(), "the table is a scalar and has no rows");
    const std::int64_t count = infer_count(operands);
    check_shape(table.extent(0) > 0 || count == 0, name(), "{} rows of a table {}, which has none", count,
                table.shape().to_string());
    return table.shape().with(0, count);
  }
  bool whole() const { return count_ < 0; }

 private:
  std::int64_t count_;
};

class GatherRows final : public Gather {
 public:
  GatherRows(std::int64_t count, DType dtype) : Gather(count), dtype_(dtype) {}
  std::string_view name() const noexcept override { return whole() ? "gather_rows" : "gather_batch"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    if (!is_arithmetic(dtype_) && dtype_ != DType::bf16 && dtype_ != operands[0].dtype()) {
      throw DTypeError(fmt::format("{}: from {} to {}; f32, f64, bf16 or the table's own dtype is needed", name(),
                                   operands[0].type().to_string(), name_of(dtype_)));
    }
    return {{infer_shape(operands), dtype_}};
  }
  void run(const Call& call) const override {
    kernels::gather_rows(call.device(), call.in(0), call.in(1), call.out(0), call.in(2));
  }
  void gradient(GradientCall& call) const override {
    const Value& table = call.operand(0);
    const bool floating = is_arithmetic(table.dtype()) && (is_arithmetic(dtype_) || dtype_ == DType::bf16);
    if (!whole() || !floating) return Operation::gradient(call);
    call.give(0, scatter_add_rows(cast(call.gradient(), table.dtype()), call.operand(1), table.extent(0)));
  }

 private:
  DType dtype_;
};

class GatherImages : public Gather {
 public:
  GatherImages(std::int64_t count, DType dtype) : Gather(count), dtype_(dtype) {}
  std::string_view name() const noexcept override { return whole() ? "gather_images" : "gather_batch_images"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    const Value& table = operands[0];
    if (table.dtype() != DType::u8) {
      throw DTypeError(fmt::format("{}: the images are {}; u8 is needed", name(), table.type().to_string()));
    }
    check_shape(table.rank() == 4, name(), "the images are {}; [n, H, W, C] is needed", table.shape().to_string());
    check_floating(name(), operands.subspan(3));
    for (const Value& factors : operands.subspan(3)) {
      check_shape(factors.shape() == Shape{table.extent(3)}, name(), "a scale or shift of {} for images {}",
                  factors.shape().to_string(), table.shape().to_string());
    }
    if (operands[3].dtype() != parameter_dtype(dtype_)) {
      throw DTypeError(
          fmt::format("{}: the scale is {} for images of {}", name(), operands[3].type().to_string(), name_of(dtype_)));
    }
    return {{infer_shape(operands), dtype_}};
  }
  void run(const Call& call) const override {
    kernels::gather_images(call.device(), call.in(0), call.in(1), call.in(3), call.in(4), call.out(0), call.in(2));
  }

 private:
  DType dtype_;
};

/// Operands: offsets, order, counters, columns, values, background or nothing.
class GatherSparse final : public Gather {
 public:
  GatherSparse(std::int64_t count, std::int64_t width, DType dtype) : Gather(count), width_(width), dtype_(dtype) {}
  std::string_view name() const noexcept override { return "gather_sparse_batch"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    const Value &offsets = operands[0], &columns = operands[3], &values = operands[4], &background = operands[5];
    if (!is_arithmetic(dtype_) && dtype_ != DType::bf16) {
      throw DTypeError(fmt::format("{}: to {}; f32, f64 or bf16 is needed", name(), name_of(dtype_)));
    }
    check_floating(name(), std::array{values, background});
    if (!offsets.defined() || !columns.defined()) {
      throw ValueError(fmt::format("{}: offsets and columns are needed", name()));
    }
    if (offsets.dtype() != DType::i64 || columns.dtype() != DType::i32) {
      throw DTypeError(fmt::format("{}: offsets {} and columns {}; i64 and i32 are needed", name(),
                                   offsets.type().to_string(), columns.type().to_string()));
    }
    check_shape(offsets.rank() == 1 && offsets.extent(0) > 0, name(), "offsets {}; n rows have [n + 1]",
                offsets.shape().to_string());
    check_shape(values.rank() == 1 && columns.shape() == values.shape(), name(), "columns {} for values {}",
                columns.shape().to_string(), values.shape().to_string());
    check_shape(width_ > 0 && (!background.defined() || background.shape() == Shape{width_}), name(),
                "a background for {} columns is not of them", width_);
    const std::int64_t count = infer_count(operands);
    check_shape(offsets.extent(0) > 1 || count == 0, name(), "{} rows of a table that has none", count);
    return {{{count, width_}, dtype_}};
  }
  void run(const Call& call) const override {
    kernels::gather_sparse_rows(call.device(), {call.in(0), call.in(3), call.in(4)}, call.in(5), call.in(1),
                                call.out(0), call.in(2));
  }

 private:
  std::int64_t width_;
  DType dtype_;
};

/// Operands: table, order, counters, places or nothing, transform or nothing.
class GatherFeatures : public Gather {
 public:
  GatherFeatures(std::int64_t count, float bound, DType dtype) : Gather(count), bound_(bound), dtype_(dtype) {}
  std::string_view name() const noexcept override { return "gather_batch_features"; }
  std::string attributes() const override {
    return Gather::attributes() + (std::isfinite(bound_) ? fmt::format(", within +-{}", bound_) : "");
  }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    const Value &table = operands[0], &places = operands[3], &transform = operands[4];
    if (!is_arithmetic(dtype_) && dtype_ != DType::bf16) {
      throw DTypeError(fmt::format("{}: to {}; f32, f64 or bf16 is needed", name(), name_of(dtype_)));
    }
    check_shape(table.rank() == 2, name(), "the features are {}; [n, p] is needed", table.shape().to_string());
    if (places.defined() && (places.dtype() != DType::i64 || places.rank() != 1)) {
      throw DTypeError(
          fmt::format("{}: the places are {}; i64 [samples] is needed", name(), places.type().to_string()));
    }
    if (transform.defined() && transform.dtype() != DType::f32) {
      throw DTypeError(fmt::format("{}: the transform is {}; f32 is needed", name(), transform.type().to_string()));
    }
    check_shape(!transform.defined() || transform.shape() == Shape{3, table.extent(1)}, name(),
                "a transform of another form than [3, p] for features {}", table.shape().to_string());
    return {{infer_shape(operands), dtype_}};
  }
  void run(const Call& call) const override {
    kernels::gather_features(call.device(), {call.in(0), call.in(3), call.in(4), bound_}, call.in(1), call.out(0),
                             call.in(2));
  }

 protected:
  float bound() const { return bound_; }

 private:
  float bound_;
  DType dtype_;
};

/// Operands: those of GatherFeatures, then the variable that the rows are put into.
class FetchFeatures final : public GatherFeatures {
 public:
  FetchFeatures(std::int64_t count, float bound, DType dtype, std::int64_t after)
      : GatherFeatures(count, bound, dtype), after_(after) {}
  std::string_view name() const noexcept override { return "fetch_batch_features"; }
  std::string attributes() const override {
    return GatherFeatures::attributes() + fmt::format(" + {}, beside", after_);
  }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    const Type& rows = operands[buffer].type();
    const std::vector<Type> types = GatherFeatures::infer(operands);
    check_shape(rows == types[0], name(), "a buffer {} for rows {}", rows.to_string(), types[0].to_string());
    const std::int64_t positions = operands[1].extent(0);
    check_shape(after_ >= 0 && after_ <= positions, name(), "{} positions on in an order of {}", after_, positions);
    return types;
  }
  void run(const Call& call) const override {
    kernels::fetch_features(call.device(), {call.in(0), call.in(3), call.in(4), bound()}, call.in(1), call.out(0),
                            call.in(2), after_);
  }
  std::optional<Aliasing> aliasing(std::size_t) const override { return Aliasing{.operand = buffer, .writes = true}; }
  bool runs_replicas(std::span<const Value> operands, const std::vector<bool>& replicated) const override {
    return GatherFeatures::runs_replicas(operands.first(buffer), replicated);
  }
  bool runs_beside() const noexcept override { return true; }

 private:
  static constexpr int buffer = 5;
  std::int64_t after_;
};

/// The first rows of a buffer, copied, so that it may be filled anew.
class FetchedRows final : public Operation {
 public:
  explicit FetchedRows(std::int64_t count) : count_(count) {}
  std::string_view name() const noexcept override { return "fetched_rows"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    const Value& buffer = operands[0];
    check_shape(buffer.rank() >= 1 && count_ <= buffer.extent(0), name(), "{} rows of a buffer {}", count_,
                buffer.shape().to_string());
    return {{buffer.shape().with(0, count_), buffer.dtype()}};
  }
  void run(const Call& call) const override { copy_bytes(call.in(0).slice(0, 0, count_), call.out(0)); }
  void run_replicas(const Call& call) const override { copy_bytes(call.in(0), call.out(0)); }
  bool runs_replicas(std::span<const Value> operands, const std::vector<bool>&) const override {
    return count_ == operands[0].extent(0);
  }

 private:
  std::int64_t count_;
};

class GatherAugmentedImages final : public GatherImages {
 public:
  GatherAugmentedImages(std::int64_t count, DType dtype, const kernels::ImageAugmentation& augmentation,
                        std::uint64_t stream)
      : GatherImages(count, dtype), augmentation_(augmentation), stream_(stream) {}
  std::string_view name() const noexcept override { return "gather_augmented_images"; }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    std::vector<Type> types = GatherImages::infer(operands);
    const std::string fault = augmentation_.fault(operands[0].extent(1), operands[0].extent(2));
    if (!fault.empty()) throw ValueError(fmt::format("{}: {}", name(), fault));
    return types;
  }
  void run(const Call& call) const override {
    kernels::gather_augmented_images(call.device(), call.in(0), call.in(1), call.in(3), call.in(4), augmentation_,
                                     stream_, call.in(2), call.out(0));
  }

 private:
  kernels::ImageAugmentation augmentation_;
  std::uint64_t stream_;
};

class ScatterAddRows final : public Operation {
 public:
  explicit ScatterAddRows(std::int64_t table_rows) : table_rows_(table_rows) {}
  std::string_view name() const noexcept override { return "scatter_add_rows"; }
  std::string attributes() const override { return fmt::format("into {} rows", table_rows_); }
  std::vector<Type> infer(std::span<const Value> operands) const override {
    const Value& values = operands[0];
    check_floating(name(), operands.first(1));
    check_row_numbers(name(), operands[1]);
    check_shape(values.rank() >= 1 && values.extent(0) == operands[1].extent(0), name(), "values {} for row numbers {}",
                values.shape().to_string(), operands[1].shape().to_string());
    check_shape(table_rows_ > 0 || values.extent(0) == 0, name(), "{} rows for a table without rows", values.extent(0));
    return {{values.shape().with(0, table_rows_), values.dtype()}};
  }
  void run(const Call& call) const override {
    kernels::fill(call.device(), 0, call.out(0));
    kernels::scatter_add_rows(call.device(), call.in(0), call.in(1), call.out(0));
  }
  void gradient(GradientCall& call) const override {
    call.give(0, gather_rows(call.gradient(), call.operand(1), call.operand(0).dtype()));
  }
  double flops(std::span<const Value> operands) const override {
    return static_cast<double>(operands[0].shape().count());
  }
  int launches(std::span<const Value>) const override { return 2; }

 private:
  std::int64_t table_rows_;
};

constexpr std::int64_t all_rows = -1;

std::int64_t checked_count(std::string_view operation, std::int64_t count) {
  check_shape(count >= 0, operation, "a batch of {} rows", count);
  return count;
}

}  // namespace

Value gather_rows(const Value& table, const Value& rows, DType dtype) {
  return record<GatherRows>({table, rows, {}}, all_rows, dtype);
}

Value gather_images(const Value& table, const Value& rows, const Value& scale, const Value& shift, DType dtype) {
  return record<GatherImages>({table, rows, {}, scale, shift}, all_rows, dtype);
}

Value gather_batch(const Value& table, const Value& order, const Value& counters, std::int64_t count, DType dtype) {
  return record<GatherRows>({table, order, counters}, checked_count("gather_batch", count), dtype);
}

Value gather_batch_images(const Value& table, const Value& order, const Value& counters, std::int64_t count,
                          const Value& scale, const Value& shift, DType dtype) {
  return record<GatherImages>({table, order, counters, scale, shift}, checked_count("gather_batch_images", count),
                              dtype);
}

Value gather_batch_features(const FeatureTable& table, const Value& order, const Value& counters, std::int64_t count,
                            DType dtype) {
  return record<GatherFeatures>({table.table, order, counters, table.places, table.transform},
                                checked_count("gather_batch_features", count), table.bound, dtype);
}

void fetch_batch_features(const Value& buffer, const FeatureTable& table, const Value& order, const Value& counters,
                          std::int64_t after) {
  check_shape(buffer.rank() == 2, "fetch_batch_features", "the buffer is {}; [most, p] is needed",
              buffer.shape().to_string());
  record<FetchFeatures>({table.table, order, counters, table.places, table.transform, buffer}, buffer.extent(0),
                        table.bound, buffer.dtype(), after);
}

Value fetched_batch_features(const Value& buffer, const FeatureTable& table, const Value& order, const Value& counters,
                             std::int64_t count) {
  const Value batch = record<FetchedRows>({buffer}, checked_count("fetched_batch_features", count));
  fetch_batch_features(buffer, table, order, counters, count);
  return batch;
}

Value gather_sparse_batch(const SparseTable& table, const Value& order, const Value& counters, std::int64_t count,
                          DType dtype) {
  return record<GatherSparse>({table.offsets, order, counters, table.columns, table.values, table.background},
                              checked_count("gather_sparse_batch", count), table.width, dtype);
}

Value gather_augmented_images(const Value& table, const Value& order, const Value& counters, std::int64_t count,
                              const Value& scale, const Value& shift, DType dtype,
                              const kernels::ImageAugmentation& augmentation, std::uint64_t name) {
  const std::int64_t checked = checked_count("gather_augmented_images", count);
  return record<GatherAugmentedImages>({table, order, counters, scale, shift}, checked, dtype, augmentation, name);
}

Value scatter_add_rows(const Value& values, const Value& rows, std::int64_t table_rows) {
  return record<ScatterAddRows>({values, rows}, table_rows);
}

}  // namespace rtl::graph
