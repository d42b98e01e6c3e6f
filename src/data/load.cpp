#include "rtl/data/load.hpp"

#include <utility>

#include "data/format.hpp"

namespace rtl::data {
namespace {

Dataset moved(Dataset dataset, const Device& device) {
  if (!device.is_cuda()) return dataset;
  dataset.inputs = dataset.inputs.to(device);
  dataset.labels = dataset.labels.to(device);
  dataset.targets = dataset.targets.to(device);
  return dataset;
}

}  // namespace

TrainTest load(const std::string& text, const Device& device) { return load(text, device, nullptr); }

TrainTest load(const std::string& text, const Device& device, const std::shared_ptr<const TextEncoder>& encoder) {
  const Spec spec = Spec::parse(text);
  check_data_set(spec);
  const Format& format = format_of(spec);
  TrainTest parts = format.load_encoded != nullptr ? format.load_encoded(spec, device.host(), encoder)
                                                   : format.load(spec, device.host());
  parts.train.name = parts.test.name = text;
  parts.train = moved(std::move(parts.train), device);
  parts.test = moved(std::move(parts.test), device);
  return parts;
}

}  // namespace rtl::data
