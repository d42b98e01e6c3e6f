#include "data/format_options.hpp"

#include <fmt/format.h>

#include <utility>

#include "rtl/core/error.hpp"
#include "rtl/data/preprocessing.hpp"

namespace rtl::data::options {

SpecOption choice(std::string name, std::vector<std::string> choices, std::string help) {
  return {.name = std::move(name), .type = SpecValue::choice, .choices = std::move(choices), .help = std::move(help)};
}

SpecOption whole(std::string name, double least, double most, std::string help) {
  return {.name = std::move(name),
          .type = SpecValue::whole,
          .least = least,
          .most = most,
          .placeholder = "N",
          .help = std::move(help)};
}

SpecOption number(std::string name, double least, double most, std::string placeholder, std::string help) {
  return {.name = std::move(name),
          .type = SpecValue::number,
          .least = least,
          .most = most,
          .placeholder = std::move(placeholder),
          .help = std::move(help)};
}

SpecOption text(std::string name, std::string placeholder, std::string help, bool empty) {
  return {.name = std::move(name), .placeholder = std::move(placeholder), .help = std::move(help), .empty = empty};
}

SpecOption list(std::string name, std::string entry, std::string help, bool empty) {
  return {.name = std::move(name),
          .type = SpecValue::list,
          .placeholder = std::move(entry),
          .help = std::move(help),
          .empty = empty};
}

Options together(std::initializer_list<Options> parts) {
  Options all;
  for (const Options& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Options parts() {
  return {choice("split", {"train", "test"}, "both parts are this one; the other's files are not read"),
          whole("limit", 1, most_whole, "at most N samples of the training part"),
          whole("offset", 0, most_whole, "leaves out the training part's first N samples")};
}

Options images() {
  constexpr double most = 1 << 14;
  const std::string resize =
      "images get N pixels along their shorter side, bilinearly without aligned corners, and the middle N by N "
      "of them are taken";
  const SpecOption color =
      choice("color", {"rgb", "grey"}, "three channels, or one; grey is repeated, and colours become their luminance");
  return {whole("resize", 1, most, resize), whole("crop", 1, most, "the middle N by N pixels, after resize"), color};
}

Options test_part() {
  SpecOption test = text("test", "FILE", "the test part; without it a share is parted off, of every class or of all");
  test.type = SpecValue::files;
  return {test,
          number("test_fraction", 0, 1, "F",
                 "that share, 0.2 if not given, and without labels both parts are all samples; 0 leaves the test part "
                 "empty"),
          whole("seed", 0, most_whole, "draws the samples that are parted off; 0 if not given")};
}

Options weights_file() {
  SpecOption weights =
      text("weights", "FILE",
           "how much each row of the file of the training samples counts in training: .npy [N], or text "
           "with a number a line; all alike if not given");
  weights.type = SpecValue::files;
  return {weights};
}

std::string fault_of_weights(const Spec& spec) {
  return spec.has("weights") && spec.files("weights").size() != 1 ? "weights= names one file" : "";
}

Options target() {
  return {choice("target", {"class", "real"},
                 "what is to be predicted: classes, or real numbers; if not given classes, but numbers with fractions "
                 "are refused")};
}

Options label_columns() {
  return {list("label", "COLUMN",
               "the column of the classes, or the columns of real targets, by name or number; #1 is the first in any "
               "case; of csv and fixed empty where there is none",
               true),
          choice("labels", {"detect", "text", "number"},
                 "how labels are told apart: as texts (detect refuses fractions), or as numbers, so that 3 and 3.0 are "
                 "one class")};
}

namespace {

/// What becomes of missing values, and of categories.
Options gaps() {
  const std::string missing =
      "what becomes of a missing value: an error, its row is left out, or it is filled by the training part; error if "
      "not given";
  return {choice("missing", {"error", "drop", "impute"}, missing),
          choice("impute", {"median", "mean", "frequent"},
                 "what fills missing numbers; median if not given; missing categories are one of their own, or with "
                 "frequent the most frequent; means missing=impute"),
          choice("indicators", {"no", "yes"},
                 "whether columns of 0 and 1 tell what was missing, which yes asks to be imputed; no if not given"),
          list("categories", "COLUMN", "columns whose values are names of categories, also where they are numbers"),
          whole("levels", 2, 1 << 20, "the most categories that a column may have; 1000 if not given"),
          list("na", "WORD",
               "what counts as missing beside an empty field; ?, NA, N/A, NaN, null, <NA> and #N/A if not "
               "given, nothing else if empty",
               true)};
}

}  // namespace

Options table() {
  const Options fields = {list("columns", "COLUMN", "the features, by name or number; all but the label if not given"),
                          list("drop", "COLUMN", "columns to leave out; they may hold text"),
                          choice("header", {"detect", "yes", "no"}, "whether the first line names the columns"),
                          choice("decimal", {"point", "comma"}, "what parts a number's fraction; point if not given")};
  return together({fields, gaps()});
}

Options sparse() {
  return {
      choice("sparse", {"auto", "yes", "no"},
             "whether rows are kept without their zeros; if not given (auto) where they would take more than 64 MiB "
             "dense, and nine tenths of that are zeros")};
}

std::string sparse_note(const std::string& file, const SparseRows& rows) {
  return fmt::format(
      "{}: {} rows of {} features are kept without their zeros (sparse=no: dense); unless normalisation is "
      "asked for, columns are scaled by their largest value, not centred",
      file, rows.rows(), rows.width());
}

Options delimiter() {
  return {choice("delimiter", {"detect", "comma", "semicolon", "tab", "blank", "bar"}, "what parts the fields")};
}

Options preparation() {
  const std::string help =
      "what is done with the columns, one after the other: log1p, rows[:SUM], standardize, pca:K; fitted to the "
      "training part";
  return {list("prepare", "STEP", help)};
}

std::string fault_of_sparse(const Spec& spec) {
  if (spec.text("sparse") != "yes" || !spec.has("prepare")) return {};
  return "prepare= needs dense columns, which sparse=yes does not make; standardising is part of training";
}

std::string fault_of_preparation(const Spec& spec) {
  for (const std::string& step : spec.list("prepare")) {
    try {
      check_step(step);
    } catch (const ValueError& error) {
      return fmt::format("prepare={}: {}", spec.text("prepare"), error.what());
    }
  }
  const std::string missing = spec.text("missing");
  const bool fills = spec.has("impute") || spec.text("indicators") == "yes";
  if (fills && !missing.empty() && missing != "impute") {
    return fmt::format("{}= says how missing=impute fills, and missing={} is given",
                       spec.has("impute") ? "impute" : "indicators", missing);
  }
  return {};
}

std::string fault_of_test_part(const Spec& spec) {
  const bool parted = spec.has("test_fraction") || spec.has("seed");
  return spec.has("test") && parted ? "test= names the test part; test_fraction and seed do not go with it" : "";
}

std::string fault_of_table(const Spec& spec) {
  const bool both = spec.text("decimal") == "comma" && spec.text("delimiter") == "comma";
  return both ? "a comma cannot part both fields and fractions" : fault_of_preparation(spec);
}

std::string fault_of_labels(const Spec& spec, bool labels, const std::string& remedy) {
  for (const char* option : {"target", "classes", "labels"}) {
    if (!labels && spec.has(option)) return fmt::format("there are no labels for {}=; {} names them", option, remedy);
  }
  for (const char* option : {"classes", "labels"}) {
    if (spec.text("target") == "real" && spec.has(option)) {
      return fmt::format("{}= is for classes, and target=real for numbers", option);
    }
  }
  return {};
}

}  // namespace rtl::data::options
