// The facts of a command as JSON. The keys are part of the program's interface.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "rtl/transfer/compare.hpp"

namespace rtl::cli {

/// Keys stay in the order in which they are put in.
using Json = nlohmann::ordered_json;

/// {"rtl", "device", "target", "sources", "seeds", "strategies": [...], "scratch_check", "conclusion", "notes"},
/// accuracies and differences as fractions of one; "auc", "f1" and "min_class_accuracy" are means over the seeds.
/// Not-a-number becomes null.
Json to_json(const transfer::Comparison& comparison);

/// Writes beside the file and renames; "-" is standard output, an empty path nothing.
void write_json(const std::string& path, const Json& json);

}  // namespace rtl::cli
