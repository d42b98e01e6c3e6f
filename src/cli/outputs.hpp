// The files that a command writes, checked before its work begins.
#pragma once

#include <string>
#include <vector>

namespace rtl::cli {

struct FileArgument {
  std::string option;  ///< "--json"
  std::string path;    ///< empty: not given
};
using FileArguments = std::vector<FileArgument>;

/// Throws UsageError naming both options if two outputs are one file, if an output is a file that is read as well, or
/// if an option other than --json is given "-", which is standard output. Links are followed; devices and pipes may be
/// named as often as one likes.
void check_distinct(const FileArguments& outputs, const FileArguments& inputs = {});

/// check_distinct, then throws IoError for an output that cannot be written. Pipes are not opened.
void check_outputs(const FileArguments& outputs, const FileArguments& inputs = {});

/// Throws UsageError, naming the option, unless the path is empty or ends in .npy or .csv.
void check_npy_or_csv(const FileArgument& output);

/// In double quotes where it has to be.
std::string csv_field(const std::string& text);

}  // namespace rtl::cli
