// How formats make train and test parts of what they read.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

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
/// (test_fraction, seed): applies those, then as `assemble`. Without labels and these options both parts are all rows.
/// `read` gets a SPEC's path, or the value of test=; where both are wanted the training file comes first.
TrainTest assemble_files(const Spec& spec, const std::function<Dataset(const std::string& path, Part part)>& read);

/// Rows [begin, end) of a host data set.
Dataset slice_rows(const Dataset& dataset, std::int64_t begin, std::int64_t end);

/// Names of the regular files of a folder, sorted. Throws IoError if it cannot be read.
std::vector<std::string> list_folder(const std::string& folder);

}  // namespace rtl::data
