// The kinds of SPEC and their options: what parsing checks, --help prints and docs/cli.md lists.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/joined.hpp"
#include "rtl/data/spec.hpp"

namespace rtl::data {
namespace {

constexpr double most = 9e15;  // a whole number that a double holds

SpecOption choice(std::string name, std::vector<std::string> choices, std::string help) {
  return {.name = std::move(name), .type = SpecValue::choice, .choices = std::move(choices), .help = std::move(help)};
}

SpecOption whole(std::string name, double least, double largest, std::string help) {
  return {.name = std::move(name),
          .type = SpecValue::whole,
          .least = least,
          .most = largest,
          .placeholder = "N",
          .help = std::move(help)};
}

SpecOption text(std::string name, std::string placeholder, std::string help, bool empty = false) {
  return {.name = std::move(name), .placeholder = std::move(placeholder), .help = std::move(help), .empty = empty};
}

SpecOption list(std::string name, std::string entry, std::string help, bool empty = false) {
  return {.name = std::move(name),
          .type = SpecValue::list,
          .placeholder = std::move(entry),
          .help = std::move(help),
          .empty = empty};
}

using Options = std::vector<SpecOption>;

Options joined(std::initializer_list<Options> parts) {
  Options all;
  for (const Options& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Options of_every_kind() {
  return {choice("split", {"train", "test"}, "both parts are this one; the other's files are not read"),
          whole("limit", 1, most, "at most N samples of the training part"),
          whole("offset", 0, most, "leaves out the training part's first N samples")};
}

Options of_test_parts() {
  return {text("test", "FILE", "the test part; without it a share is parted off, of every class or of all"),
          {.name = "test_fraction",
           .type = SpecValue::number,
           .least = 0,
           .most = 1,
           .placeholder = "F",
           .help = "that share, 0.2 if not given; 0 leaves the test part empty"},
          whole("seed", 0, most, "draws the samples that are parted off; 0 if not given")};
}

Options of_tables() {
  return {list("columns", "COLUMN", "the features, by name or number; all but the label if not given"),
          list("drop", "COLUMN", "columns to leave out; they may hold text"),
          choice("header", {"detect", "yes", "no"}, "whether the first line names the columns"),
          choice("delimiter", {"detect", "comma", "semicolon", "tab", "blank", "bar"}, "what parts the fields"),
          choice("decimal", {"point", "comma"}, "what parts a number's fraction; point if not given"),
          choice("missing", {"error", "drop"}, "what becomes of rows with a missing value; error if not given"),
          list("na", "WORD",
               "what counts as missing beside an empty field; ?, NA, N/A, NaN, null, <NA> and #N/A if not "
               "given, nothing else if empty",
               true)};
}

Options of_targets() {
  return {choice("target", {"class", "real"},
                 "what is to be predicted: classes, or real numbers; if not given classes, but numbers with fractions "
                 "are refused")};
}

Options of_labels() {
  return {list("label", "COLUMN",
               "the column of the classes, or the columns of real targets, by name or number; #1 is the first in any "
               "case; of csv empty where there is none",
               true),
          choice("labels", {"detect", "text", "number"},
                 "how labels are told apart: as texts (detect refuses fractions), or as numbers, so that 3 and 3.0 are "
                 "one class")};
}

SpecKind idx() {
  return {"idx", "DIR", "images in the format of MNIST",
          joined({{whole("classes", 1, 256, "the number of classes, where not all of them occur")}, of_every_kind()})};
}

SpecKind npy() {
  return {
      "npy", "X.npy,Y.npy",
      "vectors or images, and labels or real targets, or X.npy alone; either may be a table, FILE.csv or csv:FILE, and "
      "one FILE.npz may hold both",
      joined({{list("classes", "NAME", "the classes in order; one number N is 0 .. N-1; those that occur if not given"),
               choice("layout", {"nhwc", "nchw"}, "the axes of images; found out, where only one fits, if not given"),
               text("x", "NAME", "the array of inputs in a .npz; X, x_train and the like if not given"),
               text("y", "NAME",
                    "the array of labels or targets in a .npz; y, y_train and the like if not given, "
                    "and none if empty",
                    true)},
              of_targets(),
              of_labels(),
              of_tables(),
              of_test_parts(),
              of_every_kind()})};
}

SpecKind csv() {
  return {
      "csv", "FILE",
      "a table: columns of numbers are the features, label= names the column of classes, or columns of real targets",
      joined({of_targets(),
              of_labels(),
              {list("classes", "NAME", "the classes in order; those that occur if not given")},
              of_tables(),
              of_test_parts(),
              of_every_kind()})};
}

SpecKind svmlight() {
  constexpr double widest = 2147483648.0;
  return {
      "svmlight", "FILE", "sparse text; the targets, whole numbers, are the classes, or with target=real any numbers",
      joined(
          {{list("classes", "NUMBER", "the classes in order; those that occur if not given"),
            whole("features", 1, widest, "how many there are; as many as the largest index needs if not given"),
            choice("first_index", {"1", "0"}, "the first feature's index; 1 if not given"),
            whole("dense_mib", 1, 1 << 30, "the dense form may take N MiB; if not given 64, or 1,000 times the text")},
           of_targets(),
           of_test_parts(),
           of_every_kind()})};
}

SpecKind glyphs() {
  constexpr double samples = 1e7;
  return {
      "glyphs", "", "nothing: images made up, see docs/glyphs.md",
      joined({{choice("domain", {"target", "source"}, "target if not given"),
               choice("shift", {"mild", "none", "conflict"}, "how the target differs; mild if not given"),
               whole("classes", 2, 10, "10 if not given"), whole("size", 8, 256, "height and width; 32 if not given"),
               choice("channels", {"3", "1"}, "3 if not given"),
               whole("train", 1, samples, "training samples; 2000 if not given"),
               whole("test", 1, samples, "test samples; 1000 if not given"), whole("seed", 0, most, "0 if not given")},
              of_every_kind()})};
}

/// Words in lines of at most `width`, the first line behind `indent`.
std::string wrapped(const std::string& text, std::size_t indent, std::size_t width) {
  std::string lines;
  std::size_t column = indent;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (column > indent && column + 1 + word.size() > width) {
      lines += "\n" + std::string(indent, ' ');
      column = indent;
    }
    if (column > indent) lines += ' ', ++column;
    lines += word;
    column += word.size();
    at = end + 1;
  }
  return lines;
}

}  // namespace

std::string SpecOption::values() const {
  if (type == SpecValue::choice) return rtl::joined(choices, "|");
  return type == SpecValue::list ? placeholder + ",.." : placeholder;
}

const SpecOption* SpecKind::option(const std::string& wanted) const {
  const auto found = std::find_if(options.begin(), options.end(), [&](const auto& o) { return o.name == wanted; });
  return found == options.end() ? nullptr : &*found;
}

const std::vector<SpecKind>& spec_kinds() {
  static const std::vector<SpecKind> kinds = {
      idx(),
      {"cifar10", "DIR", "images in the binary format of CIFAR-10", of_every_kind()},
      {"cifar100", "DIR", "images in the binary format of CIFAR-100",
       joined(
           {{choice("labels", {"fine", "coarse"}, "the 100 classes or the 20; fine if not given")}, of_every_kind()})},
      npy(),
      csv(),
      svmlight(),
      glyphs()};
  return kinds;
}

std::string spec_help() {
  constexpr std::size_t indent = 34, width = 110;
  std::string help = "A SPEC names a data set: KIND:PATH?option=value&option=value, in quotes for the shell.\n";
  for (const SpecKind& kind : spec_kinds()) {
    help += fmt::format("  {:<{}}{}\n", kind.form(), indent - 2, wrapped(kind.help, indent, width));
    for (const SpecOption& option : kind.options) {
      const std::string form = "    " + option.name + "=" + option.values();
      help +=
          form + (form.size() + 1 < indent ? std::string(indent - form.size(), ' ') : "\n" + std::string(indent, ' '));
      help += wrapped(option.help, indent, width) + "\n";
    }
  }
  return help +
         "Files may be plain or .gz. What a path or value cannot hold is written as in a URL: %3F is '?', %2C a "
         "comma, %26\n'&', %25 '%'.";
}

}  // namespace rtl::data
