// What the loaders of the single kinds share. Everything here works on a host device, the
// target's Device::host; load() moves the result to the target.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "rtl/data/csv.hpp"
#include "rtl/data/load.hpp"

namespace rtl::data {

enum class Part : std::uint8_t { train, test };

/// A part, and the rows of its file that it consists of; none if these are all.
struct LoadedPart {
  Dataset samples;
  std::vector<std::int64_t> rows = {};
};

/// Loads one part; called only for parts that the SPEC asks for.
using PartLoader = std::function<LoadedPart(Part)>;

/// Applies split, limit and offset.
TrainTest assemble(const Spec& spec, const PartLoader& load_part);

/// For kinds whose test part is another file (test=) or a share of each class, or without classes of all samples
/// (test_fraction, seed): applies those, then as `assemble`. `read` gets a SPEC's path, or the value of test=; where
/// both are wanted the training file comes first.
TrainTest assemble_files(const Spec& spec, const std::function<Dataset(const std::string& path, Part part)>& read);

/// Rows [begin, end) of a host data set.
Dataset slice_rows(const Dataset& dataset, std::int64_t begin, std::int64_t end);

/// The columns of a table as f32 vectors. Throws FormatError, naming line and column, for values that f32 cannot hold
/// and for a table without columns.
Tensor table_features(const std::string& file, const CsvTable& table, const Device& host);

/// The target columns of a table as f32 [rows, targets]. Throws FormatError as table_features.
Tensor table_targets(const std::string& file, const CsvTable& table, const Device& host);

/// Whether the SPEC asks for regression.
inline bool wants_real_targets(const Spec& spec) { return spec.text("target") == "real"; }

/// Adds "FILE: NOTE" for each.
void add_notes(std::vector<std::string>& notes, const std::string& file, const std::vector<std::string>& more);

/// Names of the regular files of a folder, sorted. Throws IoError if it cannot be read.
std::vector<std::string> list_folder(const std::string& folder);

TrainTest load_idx(const Spec& spec, const Device& host);
TrainTest load_cifar(const Spec& spec, const Device& host);
TrainTest load_npy(const Spec& spec, const Device& host);
TrainTest load_csv(const Spec& spec, const Device& host);
TrainTest load_svmlight(const Spec& spec, const Device& host);
TrainTest load_glyphs(const Spec& spec, const Device& host);

}  // namespace rtl::data
