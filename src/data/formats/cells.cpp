// Single cells: counts of genes, what kind of cell each is, and where it lies.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>

#include "data/array_inputs.hpp"
#include "data/array_labels.hpp"
#include "data/assemble.hpp"
#include "data/column_parts.hpp"
#include "data/format.hpp"
#include "data/format_options.hpp"
#include "data/table_parts.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/neighbour_graph.hpp"
#include "rtl/io/file.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::data::formats {
namespace {

using namespace options;

std::vector<std::string> lines_of(const std::string& file) {
  const io::Bytes content = io::read_file_gz(file);
  std::istringstream text(std::string(reinterpret_cast<const char*>(content.data()), content.size()));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) {
    if (line.ends_with('\r')) line.pop_back();
    lines.push_back(line);
  }
  return lines;
}

/// The cells of a folder.
struct Cells {
  ColumnTable counts;
  ColumnTable places;  ///< without columns where there are none
};

class CellLoader {
 public:
  CellLoader(const Spec& spec, const Device& host, const Preprocessing* fitted)
      : spec_(spec), host_(host), fitted_(fitted) {}

  TrainTest load() {
    TrainTest parts = assemble_files(spec_, [&](const std::string& path, Part) { return read(decode_path(path)); });
    parts.notes = std::move(notes_);
    finish(parts);
    return parts;
  }

 private:
  /// DIR/NAME, or DIR/NAME.gz; the first where neither is there.
  std::string file(const std::string& folder, const std::string& name) const {
    const std::string plain = folder + "/" + name;
    return !io::file_exists(plain) && io::file_exists(plain + ".gz") ? plain + ".gz" : plain;
  }

  ColumnTable columns(const std::string& name) const {
    ColumnTable table = array_columns(name, io::parse_npy(io::read_file_gz(name), name, host_));
    for (const Column& column : table.columns) {
      for (std::size_t row = 0; row < column.numbers.size(); ++row) {
        if (std::isfinite(column.numbers[row])) continue;
        throw FormatError(name,
                          fmt::format("{}: {} is no number that can be used",
                                      table.place(static_cast<std::int64_t>(row), column.name), column.numbers[row]));
      }
    }
    return table;
  }

  Dataset read(const std::string& folder) {
    Cells cells{columns(file(folder, "counts.npy")), {}};
    const std::string genes = file(folder, "genes.txt"), places = file(folder, "xy.npy");
    if (io::file_exists(genes)) name_columns(cells.counts, genes);
    if (io::file_exists(places)) {
      cells.places = columns(places);
      if (cells.places.rows != cells.counts.rows) {
        throw FormatError(places, fmt::format("has {} rows for {} cells", cells.places.rows, cells.counts.rows));
      }
      for (std::size_t c = 0; c < cells.places.columns.size(); ++c) {
        cells.places.columns[c].name = c < 3 ? std::string(1, "xyz"[c]) : fmt::format("place{}", c + 1);
      }
    } else if (uses_places()) {
      throw FormatError(folder, "has no xy.npy, the coordinates of the cells that inputs= or space= asks for");
    }
    if (!cells_.empty() && cells.counts.names() != cells_.front().counts.names()) {
      throw FormatError(folder, "has other genes than the training part");
    }
    const std::int64_t rows = cells.counts.rows;
    Dataset samples{row_places(cells_.size(), rows, host_), {}, 0, {}, ""};
    cells_.push_back(std::move(cells));
    read_labels(folder, rows, samples);
    return samples;
  }

  static void name_columns(ColumnTable& counts, const std::string& file) {
    const std::vector<std::string> names = lines_of(file);
    if (names.size() != counts.columns.size()) {
      throw FormatError(file, fmt::format("has {} names for {} genes", names.size(), counts.columns.size()));
    }
    for (std::size_t c = 0; c < names.size(); ++c) counts.columns[c].name = names[c];
  }

  void read_labels(const std::string& folder, std::int64_t rows, Dataset& samples) {
    const std::string name = spec_.text("label", "celltype");
    const std::string labels = file(folder, name + ".npy"), names = file(folder, name + "_names.txt");
    if (name.empty() || (!spec_.has("label") && !io::file_exists(labels))) return;
    if (!io::file_exists(names)) {
      std::vector<std::string> notes;
      const EncodedLabels encoded =
          encode_labels(array_labels(labels, io::read_file_gz(labels), host_, notes), classes_, CsvLabels::detect);
      classes_ = encoded.classes;
      samples.labels = Tensor::from(encoded.labels, {static_cast<std::int64_t>(encoded.labels.size())}, host_);
    } else {
      classes_ = lines_of(names);
      const std::vector<double> values = array_numbers(io::parse_npy(io::read_file_gz(labels), labels, host_));
      std::vector<std::int32_t> indices;
      for (const double value : values) {
        if (!(value >= 0 && value < static_cast<double>(classes_.size()) && value == std::floor(value))) {
          throw FormatError(labels, fmt::format("cell {}: the label {} is none of the {} names in {}", indices.size(),
                                                value, classes_.size(), names));
        }
        indices.push_back(static_cast<std::int32_t>(value));
      }
      samples.labels = Tensor::from(indices, {static_cast<std::int64_t>(indices.size())}, host_);
    }
    if (samples.labels.count() != rows) {
      throw FormatError(labels, fmt::format("has {} labels for {} cells", samples.labels.count(), rows));
    }
    samples.classes = static_cast<std::int64_t>(classes_.size());
    samples.class_names = classes_;
  }

  std::string inputs() const { return spec_.text("inputs", "expression"); }
  bool averages() const { return spec_.has("neighbours") || spec_.has("hops"); }
  bool uses_places() const { return inputs() != "expression" || (averages() && spec_.text("space") == "coordinates"); }

  void finish(TrainTest& parts) const {
    std::vector<std::string> steps = spec_.list("prepare");
    if (!spec_.has("prepare")) steps = {"rows", "log1p"};
    const ColumnTable& trained = cells_.front().counts;
    const auto chain = std::make_shared<const Preprocessing>(
        fitted_ != nullptr && !fitted_->empty()
            ? *fitted_
            : Preprocessing::fit(steps, trained.subset(places_in(parts.train.inputs))));
    for (const std::string& line : chain->describe()) parts.notes.push_back(spec_.file() + ": " + line);
    std::vector<ColumnTable> tables;
    for (const Cells& cells : cells_) {
      std::vector<std::string> notes;
      tables.push_back(inputs_of(cells, chain->apply(cells.counts, notes)));
      parts.notes.insert(parts.notes.end(), notes.begin(), notes.end());
    }
    parts.columns = tables.front().names();
    for (Dataset* part : {&parts.train, &parts.test}) {
      part->inputs = matrix_of(tables[table_in(part->inputs)].subset(places_in(part->inputs)), host_);
      part->fitted.columns = chain;
    }
  }

  /// Expression, means over neighbours, coordinates: as the SPEC asks.
  ColumnTable inputs_of(const Cells& cells, ColumnTable expression) const {
    ColumnTable all;
    all.rows = expression.rows;
    all.file = expression.file;
    const std::vector<Column> means = averages() ? means_of(cells, expression) : std::vector<Column>();
    if (inputs() != "coordinates") all.columns = std::move(expression.columns);
    all.columns.insert(all.columns.end(), means.begin(), means.end());
    if (inputs() != "expression") {
      all.columns.insert(all.columns.end(), cells.places.columns.begin(), cells.places.columns.end());
    }
    return all;
  }

  std::vector<Column> means_of(const Cells& cells, const ColumnTable& expression) const {
    const bool by_place =
        spec_.text("space", cells.places.columns.empty() ? "expression" : "coordinates") != "expression";
    const std::int64_t count = spec_.whole("neighbours", 10), hops = spec_.whole("hops", 1);
    if (count >= expression.rows) {
      throw FormatError(expression.file,
                        fmt::format("has {} cells, too few for {} neighbours of each", expression.rows, count));
    }
    const ColumnTable& points = by_place ? cells.places : expression;
    const std::vector<std::int32_t> neighbours =
        nearest_neighbours(row_major(points), static_cast<std::int64_t>(points.columns.size()), count);
    const auto width = expression.columns.size();
    std::vector<double> values = row_major(expression);
    std::vector<Column> means;
    for (std::int64_t hop = 1; hop <= hops; ++hop) {
      values = neighbour_means(values, static_cast<std::int64_t>(width), neighbours, count);
      for (std::size_t c = 0; c < width; ++c) {
        Column column{fmt::format("{} of neighbours{}", expression.columns[c].name,
                                  hop == 1 ? "" : fmt::format(", {} hops", hop)),
                      {},
                      {},
                      false};
        for (std::size_t i = c; i < values.size(); i += width) column.numbers.push_back(values[i]);
        means.push_back(std::move(column));
      }
    }
    return means;
  }

  static std::vector<double> row_major(const ColumnTable& table) {
    const std::size_t width = table.columns.size();
    std::vector<double> values(static_cast<std::size_t>(table.rows) * width);
    for (std::size_t c = 0; c < width; ++c) {
      for (std::size_t row = 0; row < table.columns[c].numbers.size(); ++row) {
        values[row * width + c] = table.columns[c].numbers[row];
      }
    }
    return values;
  }

  const Spec& spec_;
  const Device& host_;
  const Preprocessing* fitted_;
  std::vector<Cells> cells_;
  std::vector<std::string> classes_, notes_;
};

TrainTest load(const Spec& spec, const Device& host) { return CellLoader(spec, host, nullptr).load(); }

TrainTest load_prepared(const Spec& spec, const Device& host, const Preprocessing& fitted) {
  return CellLoader(spec, host, &fitted).load();
}

std::string fault(const Spec& spec) {
  const std::string fault = fault_of_test_part(spec);
  return fault.empty() ? fault_of_preparation(spec) : fault;
}

SpecKind kind() {
  return {"cells", "DIR", 1,
          "single cells: counts.npy [cells, genes], genes.txt, xy.npy, and labels NAME.npy with NAME_names.txt; plain "
          "or .gz",
          together({{text("label", "NAME", "which labels; celltype, where they are there, if not given, none if empty",
                          true),
                     choice("inputs", {"expression", "coordinates", "both"}, "what of a cell; expression if not given"),
                     whole("neighbours", 1, 1000,
                           "adds each gene's mean over the N nearest cells, of all parts; 10 if only hops is given"),
                     whole("hops", 1, 10, "also the means of the neighbours' means, N times; 1 if not given"),
                     choice("space", {"coordinates", "expression"},
                            "in which cells are near; coordinates, where there are any, if not given")},
                    preparation(),
                    test_part(),
                    parts()})};
}

}  // namespace

const Format& cells() {
  static const Format format{kind(), load, fault, load_prepared};
  return format;
}

}  // namespace rtl::data::formats
