// Preparing the columns of a table: steps that are fitted to training rows alone, one after the other, kept as text
// with the model, and applied to whatever rows it sees later.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"

namespace rtl::data {

/// A column: numbers, or texts that name categories.
struct Column {
  std::string name;
  std::vector<double> numbers = {};     ///< NaN where a value is missing
  std::vector<std::string> texts = {};  ///< empty where a value is missing
  bool text = false;                    ///< which of the two it has
};

/// Columns of equally many rows, on the host.
struct ColumnTable {
  std::vector<Column> columns;
  std::int64_t rows = 0;
  std::string file = {};                 ///< for error texts
  std::vector<std::int64_t> lines = {};  ///< of the file in which the rows begin; empty if it is no text

  /// The rows in the given order. Throws ValueError for one outside.
  ColumnTable subset(std::span<const std::int64_t> chosen) const;
  std::vector<std::string> names() const;
  /// "line 7, column 'age'" or "row 5, column 'age'".
  std::string place(std::int64_t row, const std::string& column) const;
};

/// f32 [N, p] as numbers of columns, called by `names` or, if there are none, by their numbers from 1.
ColumnTable columns_of(const Tensor& inputs, std::vector<std::string> names = {});

/// A fitted step. Does not change.
class PreprocessingStep {
 public:
  PreprocessingStep() = default;
  PreprocessingStep(const PreprocessingStep&) = delete;
  PreprocessingStep& operator=(const PreprocessingStep&) = delete;
  virtual ~PreprocessingStep() = default;

  virtual std::string kind() const = 0;
  /// A line: what it does, with the numbers that matter.
  virtual std::string describe() const = 0;
  /// What was fitted, as JSON, from which `read` of its kind makes the same step.
  virtual std::string parameters() const = 0;
  /// Changes the columns. `notes` gets sentences on values that no training row had. Throws FormatError, naming file,
  /// line and column, for values that it cannot take, ShapeError for other columns than it was fitted to.
  virtual void apply(ColumnTable& table, std::vector<std::string>& notes) const = 0;
};

/// A kind of step: one for each file of src/data/steps.
///
/// - impute[:median|mean|frequent][:indicator]: missing numbers become the column's median (mean, most frequent value)
///   in the training rows, missing categories a category 'missing' of their own (or the most frequent one); with
///   indicator a column NAME=missing of 0 and 1 stands beside every column that had gaps.
/// - one-hot[:N]: every column of categories becomes a column of 0 and 1 for each category of the training rows,
///   NAME=CATEGORY, in the order of their bytes; of an unknown category all are 0. More than N categories (1000 if not
///   given) are refused.
/// - log1p: log(1 + x).
/// - rows[:TOTAL]: every row is scaled to the sum TOTAL, if not given the median sum of the training rows; rows of
///   zeros stay.
/// - standardize: (x - mean) / deviation, of the training rows; a column with one value alone becomes 0.
/// - pca:K: the K first principal components of the training rows' covariance, PC1 .. PCK; each one's largest weight is
///   positive.
struct StepKind {
  std::string name;
  std::string help;  ///< a line
  /// Fits to training rows; `argument` is what stands behind the name's ':'. Throws ValueError for a bad argument.
  std::unique_ptr<PreprocessingStep> (*fit)(const std::string& argument, const ColumnTable& training) = nullptr;
  /// Reads parameters() again. Throws FormatError, naming `file`, for what is none.
  std::unique_ptr<PreprocessingStep> (*read)(const std::string& file, const std::string& parameters) = nullptr;
};

/// Every kind, in the order of their names.
const std::vector<const StepKind*>& step_kinds();
/// Throws ValueError, listing what there is, unless "NAME" or "NAME:ARGUMENT" names a kind.
void check_step(const std::string& step);

/// Steps in their order, and the columns that they begin with. Does not change once it is made; copies share the steps.
///
/// Deterministic, in double, on the host; O(rows x columns), with pca O(rows x p min(rows, p) + min(rows, p)^3).
class Preprocessing {
 public:
  struct Input {
    std::string name;
    bool text = false;
    friend bool operator==(const Input&, const Input&) = default;
  };

  /// Nothing is done, to any columns.
  Preprocessing() = default;
  /// Fits "NAME[:ARGUMENT]" steps, each to what those before it make of the training rows. Throws ValueError for a step
  /// that there is not or no rows, and what steps throw.
  static Preprocessing fit(const std::vector<std::string>& steps, const ColumnTable& training);

  const std::vector<Input>& inputs() const { return inputs_; }
  std::vector<std::string> input_names() const;
  bool empty() const { return steps_.empty(); }
  /// Has a step of this kind.
  bool has(const std::string& kind) const;
  /// A line for each step.
  std::vector<std::string> describe() const;

  /// What the steps make of a table. Throws ShapeError unless it has the columns of inputs(), by number and kind; and
  /// what steps throw.
  ColumnTable apply(ColumnTable table, std::vector<std::string>& notes) const;

  /// JSON, exact to the last bit of every number; UTF-8.
  std::string to_text() const;
  /// Throws FormatError, naming `file`, for what to_text() did not write.
  static Preprocessing parse(const std::string& file, const std::string& text);

 private:
  std::vector<Input> inputs_;
  std::vector<std::shared_ptr<const PreprocessingStep>> steps_;
};

/// f32 [N, p] of columns that are all numbers. Throws FormatError, naming file, line and column, for texts, and for
/// values that are missing or not finite in f32.
Tensor matrix_of(const ColumnTable& table, const Device& host);

/// The key under which the metadata of a model's file have the preprocessing of its inputs.
inline constexpr const char* preprocessing_key = "rtl.inputs";

}  // namespace rtl::data
