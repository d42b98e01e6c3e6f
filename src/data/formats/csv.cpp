// Tables of text with delimiters.
#include "data/format.hpp"
#include "data/table_file.hpp"

namespace rtl::data::formats {
namespace {

using namespace options;

SpecKind kind() {
  return {
      "csv", "FILE", 1,
      "a table: columns of numbers and of categories are the features, label= names the column of classes, or columns "
      "of real targets",
      together({table_file(), delimiter()})};
}

}  // namespace

const Format& csv() {
  static const Format format{kind(), load_table, fault_of_table_file, load_prepared_table};
  return format;
}

}  // namespace rtl::data::formats
