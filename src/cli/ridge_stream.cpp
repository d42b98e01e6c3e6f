#include "cli/ridge_stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "cli/array_argument.hpp"
#include "cli/array_classes.hpp"
#include "cli/commands.hpp"
#include "cli/table.hpp"
#include "data/array_inputs.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/npy_rows.hpp"

namespace rtl::cli {
namespace {

/// Rows of a file as matrices.
class Blocks {
 public:
  Blocks(const std::string& option, const std::string& argument)
      : file_(array_file(option, argument)), rows_(open(option, argument)) {
    if (rows_.shape().rank() <= 2) return;
    throw FormatError(file_,
                      fmt::format("holds {}; {} is [rows, columns] or [rows]", rows_.shape().to_string(), option));
  }
  const std::string& file() const { return file_; }
  std::int64_t rows() const { return rows_.rows(); }
  std::int64_t columns() const { return rows_.shape().rank() == 2 ? rows_.shape()[1] : 1; }

  /// f64 [end - begin, columns].
  Tensor read(std::int64_t begin, std::int64_t end, const Device& device) const {
    const Tensor values = rows_.read(begin, end, device);
    return Tensor::from(data::array_numbers(values), {end - begin, columns()}, device);
  }

 private:
  static std::string open(const std::string& option, const std::string& argument) {
    std::string file = array_file(option, argument);
    if (argument.find('?') != std::string::npos || !file.ends_with(".npy")) {
      throw UsageError(
          fmt::format("{}: --stream reads .npy files without options, and '{}' is none", option, argument));
    }
    return file;
  }

  std::string file_;
  io::NpyRows rows_;
};

/// All that is read in blocks.
class Rows {
 public:
  Rows(const RidgeStream& stream, Device device)
      : device_(std::move(device)), x_("--features", stream.features), y_("--targets", stream.targets) {
    if (!stream.weights.empty()) weights_.emplace("--weights", stream.weights);
    for (const Blocks* other : {&y_, weights_ ? &*weights_ : &y_}) {
      if (other->rows() == x_.rows()) continue;
      throw ShapeError(fmt::format("{} has {} rows, {} has {}", other->file(), other->rows(), x_.file(), x_.rows()));
    }
  }
  const Blocks& x() const { return x_; }
  const Blocks& y() const { return y_; }

  void each(const std::function<void(ConstView, ConstView, ConstView)>& take) const {
    constexpr std::int64_t numbers = std::int64_t{1} << 22;  // a block: 32 MiB
    const std::int64_t block = std::max<std::int64_t>(1, numbers / (x_.columns() + y_.columns()));
    for (std::int64_t begin = 0; begin < x_.rows(); begin += block) {
      const std::int64_t end = std::min(begin + block, x_.rows());
      const Tensor x = x_.read(begin, end, device_), y = y_.read(begin, end, device_);
      const Tensor w = weights_ ? weights_->read(begin, end, device_).reshaped({end - begin}) : Tensor();
      try {
        take(x, y, w.defined() ? w.view() : ConstView());
      } catch (const ValueError& error) {
        throw FormatError(x_.file(),
                          fmt::format("rows {} to {}, with {}: {}", begin, end - 1, y_.file(), error.what()));
      }
    }
  }

 private:
  Device device_;
  Blocks x_, y_;
  std::optional<Blocks> weights_;
};

}  // namespace

RidgeStreamResult ridge_by_blocks(const RidgeStream& stream, const Device& device) {
  const Device host = device.host();
  const Rows rows(stream, host);
  solvers::GramAccumulator sums(host, rows.x().columns(), rows.y().columns());
  WholeNumbers numbers(rows.y().columns());
  rows.each([&](ConstView x, ConstView y, ConstView w) {
    sums.add(x, y, w);
    if (!stream.values) numbers.add({y.data_as<double>(), y.data_as<double>() + y.count()});
  });
  solvers::StreamOptions options{.intercept = stream.intercept};
  Tensor start;
  if (!stream.start.empty()) {
    Array given = read_array("--start", stream.start, rows.x().columns(), rows.y().columns(), "[features, outputs]");
    start = std::move(given.values);
    options.centre = start;
  }
  const solvers::StreamedRidgePath path(sums, stream.penalties, options);
  auto pass = path.leave_one_out(stream.penalties);
  rows.each([&](ConstView x, ConstView y, ConstView w) { pass.add(x, y, w); });
  RidgeStreamResult result{pass.scores(), {}, {}, sums.rows(), device.name(), {}};
  if (const std::string note = numbers.note(); !note.empty()) {
    result.notes.push_back(fmt::format("{}: {}; classes do not go with --stream", rows.y().file(), note));
    fmt::print(stderr, "rtl: note: {}\n", printable(result.notes.back()));
  }
  result.coefficients = path.coefficients(result.scores.best_penalty());
  result.intercept = path.intercept(result.scores.best_penalty());
  return result;
}

std::string RidgeStreamResult::describe() const {
  Table table({"penalty", "leave-one-out", "GCV", "degrees of freedom", ""});
  table.align_left(4);
  constexpr std::size_t most = 15;
  const std::size_t count = scores.penalties.size();
  for (std::size_t l = 0; l < count; ++l) {
    const bool shown = count <= most || l % (count / most + 1) == 0 || l == scores.best || l + 1 == count;
    if (!shown) continue;
    table.add({fmt::format("{:.6g}", scores.penalties[l]), fmt::format("{:.6g}", scores.leave_one_out[l]),
               fmt::format("{:.6g}", scores.gcv[l]), fmt::format("{:.2f}", scores.degrees_of_freedom[l]),
               l == scores.best ? "best" : ""});
  }
  return fmt::format("{} samples, {} features, {} outputs; read in blocks\n\n{}\nbest penalty {:.6g} (per sample)\n",
                     grouped(rows), grouped(coefficients.extent(0)), grouped(coefficients.extent(1)), table.to_string(),
                     scores.best_penalty());
}

Json RidgeStreamResult::to_json() const {
  return {{"rtl", RTL_VERSION},
          {"device", device},
          {"n", rows},
          {"p", coefficients.extent(0)},
          {"outputs", coefficients.extent(1)},
          {"method", "stream"},
          {"penalties", scores.penalties},
          {"leave_one_out", scores.leave_one_out},
          {"gcv", scores.gcv},
          {"degrees_of_freedom", scores.degrees_of_freedom},
          {"best", {{"index", scores.best}, {"penalty", scores.best_penalty()}}},
          {"intercept", intercept.to_vector<double>()},
          {"notes", notes}};
}

}  // namespace rtl::cli
