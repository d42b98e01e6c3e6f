// Whether the first line of a table names its columns.
#pragma once

#include <string>
#include <vector>

#include "data/csv_scanner.hpp"

namespace rtl::data {

struct HeaderDecision {
  bool header = false;
  std::string note;  ///< what was assumed, where the file does not say it for certain
};

/// `first` is the first record; `rest` stands behind it and is not moved. Looks at 1,000 records at most. The rules are
/// those that read_csv documents.
HeaderDecision detect_header(const std::vector<std::string>& first, CsvScanner rest, const CsvOptions& options);

}  // namespace rtl::data
