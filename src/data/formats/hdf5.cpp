// HDF5 files: inputs and labels (or real targets) by their paths in the file, and AnnData's (.h5ad) way to store
// sparse matrices and categories.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "data/array_inputs.hpp"
#include "data/array_labels.hpp"
#include "data/assemble.hpp"
#include "data/column_parts.hpp"
#include "data/format.hpp"
#include "data/format_options.hpp"
#include "data/row_weights.hpp"
#include "data/table_parts.hpp"
#include "data/text_table.hpp"
#include "io/hdf5.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data::formats {
namespace {

using namespace options;

std::string label_of(const io::Hdf5File& file, const std::string& path) { return file.path() + ":" + path; }

std::vector<std::int64_t> whole_numbers(const io::Hdf5File& file, const std::string& path) {
  const Tensor values = file.numbers(path);
  if (values.rank() != 1 || (values.dtype() != DType::i64 && values.dtype() != DType::u8)) {
    throw FormatError(label_of(file, path), fmt::format("holds {} {}, not whole numbers [N]", name_of(values.dtype()),
                                                        values.shape().to_string()));
  }
  if (values.dtype() == DType::i64) return values.to_vector<std::int64_t>();
  const auto bytes = values.to_vector<std::uint8_t>();
  return {bytes.begin(), bytes.end()};
}

/// A group `data`, `indices`, `indptr`: entries line by line, which are rows (CSR) or columns (CSC).
struct StoredEntries {
  bool by_columns = false;
  std::int64_t rows = 0, columns = 0;
  std::vector<std::int64_t> begins, across;
  std::vector<double> values;
};

StoredEntries read_entries(const io::Hdf5File& file, const std::string& path) {
  const std::string label = label_of(file, path);
  const auto fail = [&](const std::string& fault) { throw FormatError(label, fault); };
  const std::string encoding =
      file.text_attribute(path, "encoding-type") + file.text_attribute(path, "h5sparse_format");
  std::vector<std::int64_t> shape = file.whole_attribute(path, "shape");
  if (shape.empty()) shape = file.whole_attribute(path, "h5sparse_shape");
  if (shape.size() != 2 || shape[0] < 0 || shape[1] < 0) fail("has no attribute 'shape' of two numbers");
  StoredEntries read{encoding.starts_with("csc"),
                     shape[0],
                     shape[1],
                     whole_numbers(file, path + "/indptr"),
                     whole_numbers(file, path + "/indices"),
                     {}};
  const Tensor stored = file.numbers(path + "/data");
  const auto count = static_cast<std::int64_t>(read.across.size());
  const std::int64_t lines = read.by_columns ? read.columns : read.rows;
  if (std::cmp_not_equal(read.begins.size(), lines + 1) || read.begins.front() != 0 || read.begins.back() != count ||
      !std::ranges::is_sorted(read.begins) || stored.rank() != 1 || stored.count() != count)
    fail(fmt::format("is no sparse matrix of {} {}: indptr, indices and data do not agree", lines,
                     read.by_columns ? "columns" : "rows"));
  constexpr std::int64_t most_times = 1040;  // larger than its file: fewer entries than that hold nothing
  if (read.rows > 0 && read.columns > static_cast<std::int64_t>(file.bytes()) * most_times / read.rows)
    fail(fmt::format("promises {} x {} numbers, more than its entries make likely", read.rows, read.columns));
  if (read.columns < 1 || read.columns > std::numeric_limits<std::int32_t>::max())
    fail(fmt::format("has {} columns; there are 1 to 2^31 - 1", read.columns));
  read.values = array_numbers(stored);
  return read;
}

/// The entries row by row, by ascending columns; those of one place are added up.
SparseRows sparse_rows(const std::string& label, const StoredEntries& read, const Device& host) {
  struct Entry {
    std::int32_t column;
    float value;
  };
  const std::size_t lines = read.begins.size() - 1;
  const std::int64_t most = read.by_columns ? read.rows : read.columns;
  std::vector<std::vector<Entry>> rows(static_cast<std::size_t>(read.rows));
  for (std::size_t line = 0; line < lines; ++line) {
    for (auto i = static_cast<std::size_t>(read.begins[line]); std::cmp_less(i, read.begins[line + 1]); ++i) {
      const std::int64_t across = read.across[i];
      if (across < 0 || across >= most) {
        throw FormatError(label, read.by_columns ? fmt::format("column {} has row {} of {}", line, across, most)
                                                 : fmt::format("row {} has column {} of {}", line, across, most));
      }
      const auto place = static_cast<std::size_t>(across);
      const auto column = static_cast<std::int32_t>(read.by_columns ? line : place);
      rows[read.by_columns ? place : line].push_back({column, static_cast<float>(read.values[i])});
    }
  }
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> columns;
  std::vector<float> values;
  for (std::vector<Entry>& row : rows) {
    std::ranges::stable_sort(row, {}, &Entry::column);
    for (const Entry& entry : row) {
      if (std::cmp_less(offsets.back(), columns.size()) && columns.back() == entry.column) {
        values.back() += entry.value;
      } else {
        columns.push_back(entry.column);
        values.push_back(entry.value);
      }
    }
    offsets.push_back(static_cast<std::int64_t>(columns.size()));
  }
  return {read.columns, offsets, columns, values, host};
}

/// A group `codes`, `categories`.
io::TextArray categories(const io::Hdf5File& file, const std::string& codes_path, const std::string& names_path) {
  std::vector<std::string> notes;
  const LabelTexts names = file.holds_text(names_path)
                               ? array_labels(label_of(file, names_path), file.text(names_path))
                               : array_labels(label_of(file, names_path), file.numbers(names_path), notes);
  io::TextArray texts;
  for (const std::int64_t code : whole_numbers(file, codes_path)) {
    if (code < 0 || std::cmp_greater_equal(code, names.labels.size())) {
      throw FormatError(label_of(file, codes_path),
                        fmt::format("sample {}: the code {} is {} of the {} categories", texts.values.size(), code,
                                    code == -1 ? "a missing value, none" : "none", names.labels.size()));
    }
    texts.values.push_back(names.labels[static_cast<std::size_t>(code)]);
  }
  texts.shape = {static_cast<std::int64_t>(texts.values.size())};
  return texts;
}

class Hdf5Loader {
 public:
  Hdf5Loader(const Spec& spec, const Device& host, const Preprocessing* fitted)
      : spec_(spec),
        host_(host),
        prepared_(spec.has("prepare") || (fitted != nullptr && !fitted->empty())),
        form_(parse_sparse_form(spec.text("sparse", "auto"))),
        column_parts_(spec, fitted),
        real_(wants_real_targets(spec)),
        classes_(spec.list("classes")) {
    if (spec.has("layout")) layout_ = spec.text("layout") == "nchw" ? ImageLayout::nchw : ImageLayout::nhwc;
  }

  TrainTest load() {
    TrainTest parts =
        assemble_files(spec_, [&](const std::string& path, Part part) { return read(decode_path(path), part); });
    parts.notes = std::move(notes_);
    column_parts_.finish(parts, host_);
    return parts;
  }

 private:
  Dataset read(const std::string& path, Part part) {
    const io::Hdf5File file(path);
    Dataset samples;
    const std::int64_t rows = read_inputs(file, samples);
    const std::string label = label_of(file, inputs_text());
    if (spec_.has("weights") && part == Part::train) {
      const std::string weights = spec_.text("weights");
      samples.weights = array_weights(label_of(file, weights), file.numbers(weights), rows, host_);
    }
    const std::string targets = targets_path(file);
    if (targets.empty()) return samples;
    const std::int64_t answers = real_ ? read_targets(file, targets, samples) : read_labels(file, targets, samples);
    if (answers != rows) {
      throw FormatError(label_of(file, targets), fmt::format("has {} {} for {} samples in {}", answers,
                                                             real_ ? "targets" : "labels", rows, label));
    }
    return samples;
  }

  std::string inputs_text() const { return spec_.text("inputs", "X"); }

  /// Returns how many samples there are.
  std::int64_t read_inputs(const io::Hdf5File& file, Dataset& samples) {
    std::vector<std::string> paths = spec_.list("inputs");
    if (paths.empty()) paths = {"X"};
    if (!spec_.has("inputs") && !file.has_dataset("X") && !file.has_group("X")) {
      throw FormatError(file.path(),
                        fmt::format("say which array holds the inputs: inputs=PATH; it has {}", file.contents()));
    }
    if (paths.size() == 1 && is_sparse(file, paths.front())) {
      SparseRows entries = sparse_rows_of(file, paths.front());
      if (!prepared_ && entries.rows() > 0 && stays_sparse(form_, entries)) {
        return keep_sparse(file, std::move(entries), samples);
      }
      return set_dense(file, dense_of(entries), samples);
    }
    if (form_ == SparseForm::yes) {
      throw FormatError(label_of(file, inputs_text()), "is no sparse matrix, or several arrays; leave out sparse=yes");
    }
    std::vector<Tensor> arrays;
    for (const std::string& path : paths) {
      arrays.push_back(is_sparse(file, path) ? dense_of(sparse_rows_of(file, path)) : file.numbers(path));
    }
    return set_dense(file, arrays.size() == 1 ? std::move(arrays.front()) : side_by_side(file, paths, arrays), samples);
  }

  static bool is_sparse(const io::Hdf5File& file, const std::string& path) {
    return file.has_group(path) && file.has_dataset(path + "/indptr");
  }
  SparseRows sparse_rows_of(const io::Hdf5File& file, const std::string& path) const {
    return sparse_rows(label_of(file, path), read_entries(file, path), host_);
  }
  /// As large as read_entries lets it be.
  static Tensor dense_of(const SparseRows& entries) {
    return entries.dense("hdf5: makes", std::numeric_limits<double>::infinity());
  }

  std::int64_t keep_sparse(const io::Hdf5File& file, SparseRows entries, Dataset& samples) {
    const std::string label = label_of(file, inputs_text());
    const std::string fault = HostEntries(entries).find_not_finite();
    if (!fault.empty()) throw FormatError(label, fault);
    if (!spec_.has("sparse")) notes_.push_back(sparse_note(label, entries));
    samples.sparse = std::move(entries);
    return samples.sparse.rows();
  }

  std::int64_t set_dense(const io::Hdf5File& file, Tensor values, Dataset& samples) {
    const std::string label = label_of(file, inputs_text());
    const std::int64_t rows = values.rank() > 0 ? values.extent(0) : 0;
    if (prepared_) {
      samples.inputs = column_parts_.add(array_columns(label, values), host_);
      return rows;
    }
    std::vector<std::string> notes;
    samples.inputs = array_inputs(label, array_rows(std::move(values)), host_, layout_, notes);
    add_notes(notes_, label, notes);
    return rows;
  }

  Tensor side_by_side(const io::Hdf5File& file, const std::vector<std::string>& paths,
                      const std::vector<Tensor>& arrays) const {
    std::int64_t width = 0;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      if (arrays[i].rank() != 2 || arrays[i].extent(0) != arrays.front().extent(0)) {
        throw FormatError(label_of(file, paths[i]),
                          fmt::format("holds {}; several inputs are vectors [N, p] of equally many samples",
                                      arrays[i].shape().to_string()));
      }
      width += arrays[i].extent(1);
    }
    const std::int64_t rows = arrays.front().extent(0);
    std::vector<double> all(static_cast<std::size_t>(rows * width));
    std::int64_t first = 0;
    for (const Tensor& array : arrays) {
      const std::vector<double> values = array_numbers(array);
      const std::int64_t columns = array.extent(1);
      for (std::int64_t row = 0; row < rows; ++row) {
        std::copy_n(values.begin() + row * columns, columns, all.begin() + row * width + first);
      }
      first += columns;
    }
    return Tensor::from(all, {rows, width}, host_);
  }

  /// Empty if there are none.
  std::string targets_path(const io::Hdf5File& file) const {
    if (spec_.has("targets")) return spec_.text("targets");
    if (file.has_dataset("y")) return "y";
    throw FormatError(file.path(), fmt::format("say which array holds the {}: targets=PATH, or targets= if there are "
                                               "none; it has {}",
                                               real_ ? "targets" : "labels", file.contents()));
  }

  std::int64_t read_targets(const io::Hdf5File& file, const std::string& path, Dataset& samples) const {
    if (file.has_group(path) || file.holds_text(path)) {
      throw FormatError(label_of(file, path), "holds no numbers; texts and categories are classes (target=class)");
    }
    samples.targets = array_targets(label_of(file, path), file.numbers(path), host_);
    return samples.targets.extent(0);
  }

  LabelTexts labels_of(const io::Hdf5File& file, const std::string& path) {
    const std::string label = label_of(file, path);
    if (file.has_group(path)) return array_labels(label, categories(file, path + "/codes", path + "/categories"));
    // AnnData before 0.8 has the codes in the column's place.
    const std::size_t slash = path.find_last_of('/');
    if (slash != std::string::npos) {
      const std::string names = path.substr(0, slash) + "/__categories" + path.substr(slash);
      if (file.has_dataset(names)) return array_labels(label, categories(file, path, names));
    }
    if (file.has_dataset(path) && file.holds_text(path)) return array_labels(label, file.text(path));
    std::vector<std::string> notes;
    LabelTexts texts = array_labels(label, file.numbers(path), notes);
    add_notes(notes_, label, notes);
    return texts;
  }

  std::int64_t read_labels(const io::Hdf5File& file, const std::string& path, Dataset& samples) {
    const EncodedLabels encoded = encode_labels(labels_of(file, path), classes_, CsvLabels::detect);
    classes_ = encoded.classes;
    add_notes(notes_, label_of(file, path), encoded.notes);
    samples.labels = Tensor::from(encoded.labels, {static_cast<std::int64_t>(encoded.labels.size())}, host_);
    samples.classes = static_cast<std::int64_t>(classes_.size());
    samples.class_names = classes_;
    return samples.labels.count();
  }

  const Spec& spec_;
  const Device& host_;
  bool prepared_;  ///< vectors are columns
  SparseForm form_;
  ColumnParts column_parts_;
  bool real_;
  std::vector<std::string> classes_;
  ImageLayout layout_ = ImageLayout::detect;
  std::vector<std::string> notes_;
};

TrainTest load(const Spec& spec, const Device& host) { return Hdf5Loader(spec, host, nullptr).load(); }

TrainTest load_prepared(const Spec& spec, const Device& host, const Preprocessing& fitted) {
  return Hdf5Loader(spec, host, &fitted).load();
}

std::string fault(const Spec& spec) {
  const bool labels = !spec.has("targets") || !spec.text("targets").empty();
  std::string fault = fault_of_labels(spec, labels, "targets=PATH");
  if (fault.empty()) fault = fault_of_test_part(spec);
  if (fault.empty()) fault = fault_of_sparse(spec);
  return fault.empty() ? fault_of_preparation(spec) : fault;
}

SpecKind kind() {
  return {
      "hdf5", "FILE", 1,
      "vectors or images, and labels or real targets, of an HDF5 file; AnnData (.h5ad) with its sparse matrices and "
      "categories",
      together(
          {{list("inputs", "PATH",
                 "the array of inputs in the file, X if not given; several of vectors, such as X,obsm/spatial, "
                 "stand side by side"),
            text("targets", "PATH",
                 "the array of labels or targets, or a column such as obs/celltype; y if not given, and none "
                 "if empty",
                 true),
            text("weights", "PATH",
                 "the array [N] that says how much each training sample counts in training; all alike if not given"),
            list("classes", "NAME", "the classes in order; those that occur if not given"),
            choice("layout", {"nhwc", "nchw"}, "the axes of images; found out, where only one fits, if not given")},
           sparse(),
           target(),
           preparation(),
           test_part(),
           images(),
           parts()})};
}

}  // namespace

const Format& hdf5() {
  static const Format format{kind(), load, fault, load_prepared};
  return format;
}

}  // namespace rtl::data::formats
