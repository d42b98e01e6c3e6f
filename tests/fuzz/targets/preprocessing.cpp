// How a model's columns were prepared, as its file has it: what reads must prepare a table. And the form of its images.
#include "rtl/data/preprocessing.hpp"

#include <cmath>
#include <cstdlib>
#include <utility>

#include "fuzz.hpp"
#include "rtl/data/image_form.hpp"
#include "rtl/data/spec.hpp"

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
  fuzz::read([&] {
    const data::ImageForm form = data::ImageForm::parse("a", std::string(fuzz::text_of(data, size)));
    (void)form.describe();
    if (data::ImageForm::parse("a", form.to_text()) != form) std::abort();
    (void)data::Spec::parse(form.complete(data::Spec::parse("cifar10:d")).to_string());
  });
  return 0;
}
