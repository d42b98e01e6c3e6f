#include <algorithm>
#include <iterator>
#include <set>
#include <unordered_map>
#include <utility>

#include "rtl/core/random.hpp"
#include "rtl/data/load.hpp"
#include "studies/transfer_table/tables.hpp"

namespace rtl::studies::transfer_table {
namespace {

/// One part of a data set: all its images, and those that are wanted, in an order that is drawn once.
struct Part {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int64_t> labels;
  std::vector<std::int64_t> rows;
};

/// Those that are wanted, as many as there may be.
template <typename Wanted>
Part part_of(const data::Dataset& images, bool test, std::int64_t most, const Wanted& wanted) {
  Part part{images.inputs.to_vector<std::uint8_t>(), domains::label_values(images.labels), {}};
  for (const std::int64_t row : RandomSequence(tables_seed, test ? 3 : 2).permutation(images.size())) {
    if (static_cast<std::int64_t>(part.rows.size()) < most && wanted(row)) part.rows.push_back(row);
  }
  return part;
}

/// Labels are numbered anew, from 0, in their order.
Table table_of(const std::string& name, const Shape& image, const Part& train, const Part& test) {
  Table table;
  std::vector<std::int64_t> labels;
  std::vector<std::uint8_t> pixels;
  const auto size = image.count();
  for (const Part* part : {&train, &test}) {
    for (const std::int64_t row : part->rows) {
      labels.push_back(part->labels[static_cast<std::size_t>(row)]);
      pixels.insert(pixels.end(), part->pixels.begin() + row * size, part->pixels.begin() + (row + 1) * size);
    }
  }
  Domain& domain = table.domain;
  domain.x.assign(pixels.begin(), pixels.end());
  domain.name = name;
  domain.features = size;
  domain.rows = domain.source_rows = static_cast<std::int64_t>(labels.size());
  domain.training_rows = static_cast<std::int64_t>(train.rows.size());
  const std::set<std::int64_t> there(labels.begin(), labels.end());
  for (std::int64_t& label : labels) label = std::distance(there.begin(), there.find(label));
  domains::set_classes(domain, labels, static_cast<std::int64_t>(there.size()));
  table.encoder_columns = component_count;
  table.components = true;
  table.network_inputs.inputs = Tensor::from(pixels, {domain.rows, image[0], image[1], image[2]}, Device::cpu(1));
  return table;
}

}  // namespace

Table cifar100_table(const std::string& folder, const std::string& target, std::int64_t training_images) {
  static const std::unordered_map<std::string, std::set<std::int64_t>> parts{{"vehicles", {18, 19}}, {"people", {14}}};
  const Device host = Device::cpu(1);
  const std::string path = "cifar100:" + folder + "/images/cifar100?labels=";
  const data::TrainTest coarse = data::load(path + "coarse", host), fine = data::load(path + "fine", host);
  const auto chosen = parts.find(target);
  const auto part = [&](bool test, std::int64_t most) {
    const std::vector<std::int64_t> broad = domains::label_values((test ? coarse.test : coarse.train).labels);
    const auto wanted = [&](std::int64_t row) {
      return chosen == parts.end() || chosen->second.count(broad[static_cast<std::size_t>(row)]) > 0;
    };
    const data::TrainTest& images = target == "coarse" ? coarse : fine;
    return part_of(test ? images.test : images.train, test, most, wanted);
  };
  return table_of(target, coarse.train.sample_shape(), part(false, training_images), part(true, most_test_rows));
}

Table image_table(const std::string& folder, const std::string& target, std::int64_t training_images) {
  const std::string spec =
      target == "cifar10" ? "cifar10:" + folder + "/images/cifar10" : "idx:" + folder + "/images/fashion-mnist";
  const data::TrainTest images = data::load(spec, Device::cpu(1));
  const auto all = [](std::int64_t) { return true; };
  return table_of(target, images.train.sample_shape(), part_of(images.train, false, training_images, all),
                  part_of(images.test, true, most_test_rows, all));
}

}  // namespace rtl::studies::transfer_table
