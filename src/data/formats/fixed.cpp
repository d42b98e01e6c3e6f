// Tables of text whose columns stand at fixed places of each line.
#include "data/csv_fields.hpp"
#include "data/format.hpp"
#include "data/table_file.hpp"
#include "rtl/core/error.hpp"

namespace rtl::data::formats {
namespace {

using namespace options;

std::string fault(const Spec& spec) {
  try {
    parse_fields(spec.list("fields"));
  } catch (const ValueError& error) {
    return "fields=" + spec.text("fields") + ": " + error.what();
  }
  return fault_of_table_file(spec);
}

SpecKind kind() {
  SpecOption fields = list("fields", "[NAME:]FIRST-LAST",
                           "the characters of each column, 1 being a line's first, in the order of the line; what "
                           "stands between them is not read. Names come before those of a first line");
  fields.required = "say where the columns stand: fields=1-8,9-16 (the first and last character of each)";
  return {"fixed", "FILE", 1,
          "a table whose columns stand at fixed places of each line, fields= says where; otherwise as csv",
          together({{fields}, table_file()})};
}

}  // namespace

const Format& fixed() {
  static const Format format{kind(), load_table, fault, load_prepared_table};
  return format;
}

}  // namespace rtl::data::formats
