// How a model's columns were prepared, as its file has it: what reads must prepare a table.
#include "rtl/data/preprocessing.hpp"

#include <cmath>
#include <utility>

#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace rtl;
  fuzz::read([&] {
    const data::Preprocessing chain = data::Preprocessing::parse("a", std::string(fuzz::text_of(data, size)));
    (void)chain.describe();
    data::ColumnTable table;
    table.rows = 3;
    table.file = "t";
    for (const data::Preprocessing::Input& input : chain.inputs()) {
      data::Column column{input.name, {}, {}, input.text};
      if (input.text) column.texts = {"x", "", "y"};
      if (!input.text) column.numbers = {1, std::nan(""), 3};
      table.columns.push_back(std::move(column));
    }
    std::vector<std::string> notes;
    (void)data::matrix_of(chain.apply(std::move(table), notes), Device::cpu(1));
  });
  return 0;
}
