#include "rtl/data/load.hpp"

#include <utility>

#include "data/format.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/images.hpp"

namespace rtl::data {
namespace {

/// resize, crop and color, where they were not applied to one image after the other.
void prepare_images(const Spec& spec, Dataset& dataset) {
  const ImageOptions options = image_options(spec);
  if (!options.any() || spec.kind == "images") return;
  if (!dataset.has_images()) {
    throw ValueError("SPEC '" + spec.to_string() + "': resize, crop and color are for images, and these are vectors");
  }
  dataset.inputs = prepared(std::move(dataset.inputs), options);
}

Dataset moved(Dataset dataset, const Device& device) {
  if (!device.is_cuda()) return dataset;
  dataset.inputs = dataset.inputs.to(device);
  dataset.labels = dataset.labels.to(device);
  dataset.targets = dataset.targets.to(device);
  dataset.weights = dataset.weights.to(device);
  return dataset;
}

}  // namespace

TrainTest load(const std::string& text, const Device& device, const Preprocessing* fitted) {
  const Spec spec = Spec::parse(text);
  check_data_set(spec);
  const Format& format = format_of(spec);
  const bool prepared = fitted != nullptr && format.load_prepared != nullptr;
  TrainTest parts = prepared ? format.load_prepared(spec, device.host(), *fitted) : format.load(spec, device.host());
  prepare_images(spec, parts.train);
  prepare_images(spec, parts.test);
  parts.train.name = parts.test.name = text;
  parts.train = moved(std::move(parts.train), device);
  parts.test = moved(std::move(parts.test), device);
  return parts;
}

}  // namespace rtl::data
