// Golden values, tests/golden of the sources: values computed elsewhere (its README says how), and the draws that they
// were computed from.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "rtl/core/random.hpp"
#include "rtl/core/tensor.hpp"
#include "rtl/io/safetensors.hpp"
#include "support/paths.hpp"

namespace rtl::test {

/// The path of a golden file, by its name under tests/golden.
inline std::string golden_file(const std::string& name) { return source_folder() + "/tests/golden/" + name; }

/// One line of a table, by column name.
class GoldenRow {
 public:
  explicit GoldenRow(std::map<std::string, std::string> cells) : cells_(std::move(cells)) {}
  const std::string& text(const std::string& column) const { return cells_.at(column); }
  double operator[](const std::string& column) const { return std::stod(cells_.at(column)); }

 private:
  std::map<std::string, std::string> cells_;
};

/// A comma-separated table with a line of column names.
inline std::vector<GoldenRow> golden_table(const std::string& name) {
  std::ifstream file(golden_file(name));
  const auto cells_of = [](const std::string& line) {
    std::vector<std::string> cells;
    std::istringstream stream(line);
    for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(cell.substr(0, cell.find('\r')));
    return cells;
  };
  std::string line;
  std::getline(file, line);
  const auto names = cells_of(line);
  std::vector<GoldenRow> rows;
  while (std::getline(file, line)) {
    const auto cells = cells_of(line);
    std::map<std::string, std::string> row;
    for (std::size_t i = 0; i < names.size(); ++i) row[names[i]] = cells.at(i);
    rows.emplace_back(row);
  }
  return rows;
}

/// The f64 tensors of a golden safetensors file.
class GoldenTensors {
 public:
  explicit GoldenTensors(const std::string& name) : file_(golden_file(name)) {}
  std::vector<double> operator[](const std::string& tensor) const {
    return file_.load(tensor, Device::cpu()).to_vector<double>();
  }

 private:
  io::SafetensorsFile file_;
};

/// Tensors drawn one after another, number k from Philox stream k and rounded to f32: the draws of
/// tests/golden/make/trajectories.py.
class GoldenDraws {
 public:
  explicit GoldenDraws(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  std::vector<double> uniform(std::int64_t count, double low, double high) {
    const Philox philox(seed_, stream_++);
    std::vector<double> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(low + (high - low) * static_cast<double>(philox.uniform(i)));
    }
    return values;
  }
  /// Whole numbers in [0, bound).
  std::vector<double> below(std::int64_t count, int bound) {
    std::vector<double> values = uniform(count, 0, 1);
    for (double& value : values) value = std::floor(value * bound);
    return values;
  }
  /// The start of a tensor: He's uniform bound for matrices and kernels, [0.5, 1.5) for scales and variances,
  /// [-0.5, 0.5) for biases and means.
  std::vector<double> weights(const std::string& name, const Shape& shape) {
    if (shape.rank() > 1) {
      const double bound = std::sqrt(6.0 / static_cast<double>(shape.count() / shape[0]));
      return uniform(shape.count(), -bound, bound);
    }
    if (name.ends_with(".weight") || name.ends_with("running_var")) return uniform(shape.count(), 0.5, 1.5);
    return uniform(shape.count(), -0.5, 0.5);
  }

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
};

}  // namespace rtl::test

/// Within 1e-9 relative; the files have 12 digits, and what is exactly 0 there is rounding.
#define RTL_EXPECT_GOLDEN(value, expected) EXPECT_NEAR(value, expected, 1e-9 * std::abs(expected) + 1e-14)
