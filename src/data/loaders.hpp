// What the loaders of the single kinds share. Everything here works on the host; load() moves the result to the device.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rtl/data/load.hpp"

namespace rtl::data {

/// Typed access to a SPEC's options.
class Options {
 public:
  /// Throws ValueError for an option that is neither in `known` nor one of split, limit, offset; the text lists those.
  Options(const Spec& spec, std::initializer_list<std::string_view> known);

  bool has(const std::string& name) const { return spec_.options.find(name) != spec_.options.end(); }
  std::string text(const std::string& name, const std::string& fallback) const;
  /// Throws ValueError unless the value is one of `choices`.
  std::string choice(const std::string& name, const std::string& fallback,
                     std::initializer_list<std::string_view> choices) const;
  /// Throws ValueError unless the value is a whole number in [least, most].
  std::int64_t integer(const std::string& name, std::int64_t fallback, std::int64_t least, std::int64_t most) const;
  /// Throws ValueError unless the value is a number in [least, most].
  double number(const std::string& name, double fallback, double least, double most) const;

 private:
  [[noreturn]] void fail(const std::string& name, const std::string& wanted) const;
  const Spec& spec_;
};

enum class Part : std::uint8_t { train, test };

/// Loads one part; called only for parts that the SPEC asks for.
using PartLoader = std::function<Dataset(Part)>;

/// Applies split, limit and offset.
TrainTest assemble(const Spec& spec, const Options& options, const PartLoader& load_part);

/// For kinds whose test part is another file (test=) or a share of each class (test_fraction, seed): applies those,
/// then as `assemble`. `read` gets a SPEC's path, or the value of test=; where both are wanted the training file comes
/// first. The kind's known options must include the three.
TrainTest assemble_files(const Spec& spec, const Options& options,
                         const std::function<Dataset(const std::string& path, Part part)>& read);

/// Rows [begin, end) of a host data set.
Dataset slice_rows(const Dataset& dataset, std::int64_t begin, std::int64_t end);

/// i32 labels from a file, checked: with `classes` given, each is in [0, classes); else the labels are 0 .. K-1 with
/// each occurring, and K is returned. Throws FormatError naming `file`, the sample and its label.
std::int64_t check_labels(const std::vector<std::int32_t>& labels, std::optional<std::int64_t> classes,
                          const std::string& file);

/// Names of the regular files of a folder, sorted. Throws IoError if it cannot be read.
std::vector<std::string> list_folder(const std::string& folder);

TrainTest load_idx(const Spec& spec);
TrainTest load_cifar(const Spec& spec);
TrainTest load_npy(const Spec& spec);
TrainTest load_csv(const Spec& spec);
TrainTest load_svmlight(const Spec& spec);
TrainTest load_glyphs(const Spec& spec);

}  // namespace rtl::data
