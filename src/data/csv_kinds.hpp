// Which columns of a table hold texts.
#pragma once

#include <string>
#include <vector>

#include "data/csv_columns.hpp"
#include "data/csv_scanner.hpp"

namespace rtl::data {

/// For each column of the file whether it is kept as one of texts: those that `options` name, and where they ask for it
/// those of which no value is a number. `first` is the first line, if that is a row; `rest` stands behind it.
std::vector<bool> text_columns(const CsvColumns& columns, const CsvOptions& options,
                               const std::vector<std::string>* first, CsvScanner rest);

}  // namespace rtl::data
