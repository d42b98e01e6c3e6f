// Data sets of which inputs and labels (or real targets) are two arrays: .npy files, members of a .npz, or tables.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "core/joined.hpp"
#include "data/array_inputs.hpp"
#include "data/array_labels.hpp"
#include "data/assemble.hpp"
#include "data/column_parts.hpp"
#include "data/csv_scanner.hpp"
#include "data/format.hpp"
#include "data/format_options.hpp"
#include "data/row_weights.hpp"
#include "data/table_parts.hpp"
#include "io/npy_header.hpp"
#include "rtl/core/error.hpp"
#include "rtl/core/file_memory.hpp"
#include "rtl/io/npy.hpp"
#include "rtl/io/npy_rows.hpp"

namespace rtl::data::formats {
namespace {

using namespace options;

/// An array's file, or the file and the member.
struct Source {
  std::string file;
  std::string member;  ///< of a .npz
  bool table = false;
  std::string name() const { return member.empty() ? file : file + ":" + member; }
  io::Bytes content() const { return member.empty() ? io::read_file_gz(file) : io::NpzFile(file).content(member); }
  /// Whether its rows are those of the file, one after the other, and more than memory should hold.
  bool stays_in_file() const {
    std::error_code unknown;
    if (!member.empty() || file.ends_with(".gz") || !std::filesystem::is_regular_file(file, unknown)) return false;
    if (std::filesystem::file_size(file, unknown) <= in_memory_limit() || unknown) return false;
    const io::MappedFile mapped(file);
    const io::NpyContent header = io::parse_npy_content(mapped.bytes(), file);
    return header.shape.rank() > 0 && header.shape[0] > 0 && (!header.fortran_order || header.shape.rank() == 1);
  }
};

struct Sources {
  Source inputs;
  Source labels;  ///< without a file where there are none
};

/// Some rows of a file that has `total`.
struct Inputs {
  Tensor values;
  std::vector<std::int64_t> rows;
  std::int64_t total = 0;
};
struct Labels {
  LabelTexts texts;
  std::vector<std::int64_t> rows;
  std::int64_t total = 0;
  Tensor targets = {};                         ///< f32 [rows, outputs], instead of texts
  std::vector<std::string> target_names = {};  ///< of a table's columns
};

/// Fields of the first line.
std::size_t width_of(const std::string& file, const CsvOptions& options) {
  const io::Bytes content = io::read_file_gz(file);
  CsvScanner scanner(file, {reinterpret_cast<const char*>(content.data()), content.size()}, options);
  std::vector<std::string> fields;
  scanner.next(fields);
  return fields.size();
}

std::vector<std::int64_t> all_rows(std::int64_t count) {
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < count; ++row) rows.push_back(row);
  return rows;
}

Tensor chosen_rows(Tensor rows, const std::vector<std::int64_t>& kept) {
  return Dataset{std::move(rows), Tensor(), 0, {}, ""}.subset(kept).inputs;
}

template <typename T>
std::vector<T> chosen_numbers(const std::vector<T>& all, const std::vector<std::int64_t>& kept) {
  std::vector<T> chosen;
  for (const std::int64_t row : kept) chosen.push_back(all[static_cast<std::size_t>(row)]);
  return chosen;
}

/// Positions of a table's rows among those that its file has.
std::vector<std::int64_t> rows_of(const CsvTable& table) {
  std::vector<std::int64_t> rows;
  auto gap = table.left_out.begin();
  std::int64_t position = 0;
  for (const std::int64_t line : table.lines) {
    for (; gap != table.left_out.end() && gap->line < line; ++gap) ++position;
    rows.push_back(position++);
  }
  return rows;
}

std::int64_t total_of(const CsvTable& table) { return table.rows() + static_cast<std::int64_t>(table.left_out.size()); }

std::optional<std::string> first_of(const io::NpzFile& file, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (file.contains(name)) return name;
  }
  return {};
}

class PairLoader {
 public:
  PairLoader(const Spec& spec, const Device& host, const Preprocessing* fitted)
      : spec_(spec),
        host_(host),
        prepared_(spec.has("prepare") || wants_imputation(spec) || (fitted != nullptr && !fitted->empty())),
        column_parts_(spec, fitted),
        real_(wants_real_targets(spec)),
        table_(csv_options(spec)),
        classes_(spec.list("classes")) {
    if (spec.has("layout")) layout_ = spec.text("layout") == "nchw" ? ImageLayout::nchw : ImageLayout::nhwc;
    table_.label.clear();
    table_.targets.clear();
    table_.classes.clear();
    table_.weights.clear();
    if (classes_.size() == 1 && is_whole(classes_.front())) {
      const auto count = spec.whole("classes", 0);
      classes_.clear();
      for (std::int64_t i = 0; i < count; ++i) classes_.push_back(std::to_string(i));
    }
  }

  TrainTest load() {
    const std::vector<SpecFile> files = spec_.files();
    const bool own_test = files.size() == 1 && !spec_.has("test") && !spec_.has("test_fraction") &&
                          !spec_.has("seed") && !spec_.has("x") && !spec_.has("y") &&
                          has_test_arrays(files.front().path);
    TrainTest parts = own_test
                          ? assemble(spec_, [&](Part part) -> LoadedPart { return {read(part, part == Part::test)}; })
                          : assemble_files(spec_, [&](const std::string&, Part part) { return read(part, false); });
    parts.notes = std::move(notes_);
    column_parts_.finish(parts, host_);
    return parts;
  }

 private:
  static bool has_test_arrays(const std::string& file) {
    if (!file.ends_with(".npz")) return false;
    const io::NpzFile archive(file);
    return first_of(archive, {"X_test", "x_test"}) && first_of(archive, {"y_test", "Y_test"});
  }

  Dataset read(Part part, bool test_arrays) {
    const Sources sources = sources_of(part, test_arrays);
    Inputs inputs = read_inputs(sources.inputs);
    Dataset samples;
    if (!sources.labels.file.empty()) {
      Labels labels = sources.labels.table ? read_column(sources.labels) : read_array(sources.labels);
      if (inputs.total != labels.total) {
        throw FormatError(sources.labels.name(), fmt::format("has {} {} for {} samples in {}", labels.total, noun(),
                                                             inputs.total, sources.inputs.name()));
      }
      align(sources.labels.file, inputs, labels);
      answer(samples, std::move(labels));
    }
    if (spec_.has("weights") && part == Part::train) {
      const Tensor weights = read_weights(spec_.files("weights").front().path, inputs.total, host_);
      const std::vector<float> own = chosen_numbers(weights.to_vector<float>(), inputs.rows);
      samples.weights = Tensor::from(own, {static_cast<std::int64_t>(own.size())}, host_);
    }
    samples.inputs = std::move(inputs.values);
    return samples;
  }

  const char* noun() const { return real_ ? "targets" : "labels"; }

  /// Gives the samples their labels or targets.
  void answer(Dataset& samples, Labels labels) {
    if (real_) {
      samples.targets = std::move(labels.targets);
      samples.target_names = std::move(labels.target_names);
      return;
    }
    EncodedLabels encoded = encode_labels(labels.texts, classes_, table_.labels);
    classes_ = encoded.classes;
    add_notes(notes_, labels.texts.file, encoded.notes);
    samples.labels = Tensor::from(encoded.labels, {static_cast<std::int64_t>(encoded.labels.size())}, host_);
    samples.classes = static_cast<std::int64_t>(classes_.size());
    samples.class_names = classes_;
  }

  /// Where the two arrays are.
  Sources sources_of(Part part, bool test_arrays) {
    const std::vector<SpecFile> files = spec_.files(part == Part::test && spec_.has("test") ? "test" : "");
    Sources sources{{files.front().path, "", files.front().table}, {files.back().path, "", files.back().table}};
    if (sources.inputs.file.ends_with(".npz")) {
      sources.inputs.member =
          member_of(sources.inputs.file, "x",
                    test_arrays ? std::initializer_list<const char*>{"X_test", "x_test"}
                                : std::initializer_list<const char*>{"X", "x", "X_train", "x_train", "data", "features",
                                                                     "images", "arr_0"});
    }
    const bool archive = sources.inputs.file.ends_with(".npz");
    if (files.size() == 1 && (!archive || (spec_.has("y") && spec_.text("y").empty()))) sources.labels = {};
    if (sources.labels.file.ends_with(".npz")) {
      sources.labels.member =
          member_of(sources.labels.file, "y",
                    test_arrays ? std::initializer_list<const char*>{"y_test", "Y_test"}
                                : std::initializer_list<const char*>{"y", "Y", "y_train", "Y_train", "labels", "label",
                                                                     "target", "targets", "arr_1"});
    }
    return sources;
  }

  std::string member_of(const std::string& file, const char* option, std::initializer_list<const char*> usual) {
    const io::NpzFile archive(file);
    if (spec_.has(option)) return spec_.text(option);  // NpzFile::content tells if it is not there
    if (const auto found = first_of(archive, usual)) {
      if (archive.names().size() > 2) {
        notes_.push_back(fmt::format("{}: '{}' was taken for the {}; {}= names another array", file, *found,
                                     *option == 'x' ? "inputs" : noun(), option));
      }
      return *found;
    }
    throw FormatError(
        file, fmt::format("say which array holds the {}: {}=NAME, one of {}{}", *option == 'x' ? "inputs" : noun(),
                          option, joined(archive.names(), ", "), *option == 'x' ? "" : ", or y= if there are none"));
  }

  Inputs read_inputs(const Source& source) {
    if (source.table) {
      const CsvTable table = read_csv(source.file, column_parts_.reading(source.file, table_, notes_), host_);
      add_notes(notes_, source.file, table.notes);
      return {column_parts_.add(table_columns(source.file, table), host_), rows_of(table), total_of(table)};
    }
    std::vector<std::string> notes;
    const ArrayRows array = open_array(source);
    const std::int64_t count = array.shape.rank() > 0 ? array.shape[0] : 0;
    if (prepared_)
      return {column_parts_.add(array_columns(source.name(), array.whole()), host_), all_rows(count), count};
    Tensor values = array_inputs(source.name(), array, host_, layout_, notes);
    add_notes(notes_, source.name(), notes);
    return {std::move(values), all_rows(count), count};
  }

  /// Those of a large file stay there.
  ArrayRows open_array(const Source& source) const {
    if (!source.stays_in_file()) return array_rows(io::parse_npy(source.content(), source.name(), host_));
    const auto rows = std::make_shared<const io::NpyRows>(source.file);
    return {rows->shape(), rows->dtype(),
            [rows, host = host_](std::int64_t begin, std::int64_t end) { return rows->read(begin, end, host); },
            [rows, host = host_] { return rows->whole(host); }};
  }

  Labels read_array(const Source& source) {
    Labels labels;
    if (real_) {
      labels.targets = array_targets(source.name(), source.content(), host_);
      labels.total = labels.targets.extent(0);
    } else {
      std::vector<std::string> notes;
      labels.texts = array_labels(source.name(), source.content(), host_, notes);
      add_notes(notes_, source.name(), notes);
      labels.total = static_cast<std::int64_t>(labels.texts.labels.size());
    }
    labels.rows = all_rows(labels.total);
    return labels;
  }

  /// The label column of a table, or its target columns.
  Labels read_column(const Source& source) {
    CsvOptions options = table_;
    options.columns.clear();
    options.drop.clear();
    options.categories.clear();
    options.detect_categories = false;
    const std::size_t width = width_of(source.file, options);
    if (!spec_.has("label") && width > 1) {
      throw FormatError(source.file, fmt::format("has {} columns; say which one holds the {}: label=NAME (or its "
                                                 "number)",
                                                 width, real_ ? "targets" : "classes"));
    }
    if (real_) {
      options.targets = spec_.has("label") ? spec_.list("label") : std::vector<std::string>{"#1"};
    } else {
      options.classes = classes_;
      options.label = spec_.text("label", "#1");
    }
    options.label_only = true;
    CsvTable table = read_csv(source.file, options, host_);
    Labels labels{{source.file, {}, table.lines}, rows_of(table), total_of(table)};
    for (const std::int32_t label : table.labels) {
      labels.texts.labels.push_back(table.classes[static_cast<std::size_t>(label)]);
    }
    if (real_) labels.targets = table_targets(source.file, table, host_);
    labels.target_names = std::move(table.target_names);
    add_notes(notes_, source.file, table.notes);
    return labels;
  }

  /// Leaves the rows that both have.
  static void align(const std::string& file, Inputs& inputs, Labels& labels) {
    if (inputs.rows == labels.rows) return;
    std::vector<std::int64_t> kept_inputs, kept_labels;
    std::size_t at = 0;
    for (std::size_t row = 0; row < labels.rows.size(); ++row) {
      while (at < inputs.rows.size() && inputs.rows[at] < labels.rows[row]) ++at;
      if (at == inputs.rows.size() || inputs.rows[at] != labels.rows[row]) continue;
      kept_inputs.push_back(static_cast<std::int64_t>(at));
      kept_labels.push_back(static_cast<std::int64_t>(row));
    }
    if (kept_inputs.empty()) throw FormatError(file, "has no row for which both inputs and label are there");
    inputs.values = chosen_rows(std::move(inputs.values), kept_inputs);
    inputs.rows = chosen_numbers(inputs.rows, kept_inputs);
    if (labels.targets.defined()) {
      labels.targets = chosen_rows(std::move(labels.targets), kept_labels);
      return;
    }
    LabelTexts texts{labels.texts.file, {}, {}, labels.texts.place};
    for (const std::int64_t row : kept_labels) {
      texts.labels.push_back(labels.texts.labels[static_cast<std::size_t>(row)]);
      texts.places.push_back(labels.texts.places[static_cast<std::size_t>(row)]);
    }
    labels.texts = std::move(texts);
  }

  const Spec& spec_;
  const Device& host_;
  bool prepared_;  ///< arrays of vectors are columns, too
  ColumnParts column_parts_;
  bool real_;
  CsvOptions table_;
  std::vector<std::string> classes_;
  ImageLayout layout_ = ImageLayout::detect;
  std::vector<std::string> notes_;
};

TrainTest load(const Spec& spec, const Device& host) { return PairLoader(spec, host, nullptr).load(); }

TrainTest load_prepared(const Spec& spec, const Device& host, const Preprocessing& fitted) {
  return PairLoader(spec, host, &fitted).load();
}

/// Whether files of npy: are two arrays, or an archive that holds both.
bool hold_labels(const Spec& spec, const std::vector<SpecFile>& files) {
  if (files.size() == 2) return true;
  return files.front().path.ends_with(".npz") && !(spec.has("y") && spec.options.at("y").empty());
}

/// What is wrong with the files; empty if nothing is.
std::string fault_of_arrays(const Spec& spec) {
  const std::vector<SpecFile> train = spec.files(), test = spec.files("test");
  for (const auto* files : {&train, &test}) {
    const auto empty = [](const SpecFile& file) { return file.path.empty(); };
    if (files->size() > 2 || std::any_of(files->begin(), files->end(), empty)) {
      return "give two files, X.npy,Y.npy (a comma in a name is written %2C), X.npy alone where there are no labels, "
             "or one FILE.npz";
    }
  }
  const bool labels = hold_labels(spec, train);
  if (!test.empty() && hold_labels(spec, test) != labels) {
    return fmt::format("the {} part has labels and the other has none; give X.npy,Y.npy for both",
                       labels ? "training" : "test");
  }
  if (spec.has("y") && spec.options.at("y").empty() && labels) {
    return "y= says that there are no labels, but a second file holds them";
  }
  if (spec.has("label") && spec.options.at("label").empty()) return "label= is empty; give X.npy alone for no labels";
  return {};
}

std::string fault(const Spec& spec) {
  std::string fault = fault_of_arrays(spec);
  const bool labels = fault.empty() && hold_labels(spec, spec.files());
  if (fault.empty()) fault = fault_of_labels(spec, labels, "npy:X.npy,Y.npy");
  if (!fault.empty()) return fault;
  if (fault = fault_of_weights(spec); !fault.empty()) return fault;
  if (!labels && spec.has("label")) return "there is no second file for label=: npy:X.npy,Y.csv";
  const std::vector<std::string> classes = spec.list("classes");
  constexpr double most_classes = 1e6;
  const auto count = classes.size() == 1 ? parse_number(classes.front()) : std::nullopt;
  if (count && is_whole(classes.front()) && !(*count >= 1 && *count <= most_classes)) {
    return "classes=N: give a whole number from 1 to 1000000";
  }
  fault = fault_of_test_part(spec);
  return fault.empty() ? fault_of_table(spec) : fault;
}

SpecKind kind() {
  return {
      "npy", "X.npy,Y.npy", 2,
      "vectors or images, and labels or real targets, or X.npy alone; either may be a table, FILE.csv or csv:FILE, and "
      "one FILE.npz may hold both",
      together(
          {{list("classes", "NAME", "the classes in order; one number N is 0 .. N-1; those that occur if not given"),
            choice("layout", {"nhwc", "nchw"}, "the axes of images; found out, where only one fits, if not given"),
            text("x", "NAME", "the array of inputs in a .npz; X, x_train and the like if not given"),
            text("y", "NAME",
                 "the array of labels or targets in a .npz; y, y_train and the like if not given, "
                 "and none if empty",
                 true)},
           label_columns(),
           target(),
           weights_file(),
           table(),
           delimiter(),
           preparation(),
           test_part(),
           images(),
           parts()})};
}

}  // namespace

const Format& npy() {
  static const Format format{kind(), load, fault, load_prepared};
  return format;
}

}  // namespace rtl::data::formats
