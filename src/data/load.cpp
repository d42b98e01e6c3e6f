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
  return device.is_cuda() ? dataset.to(device) : std::move(dataset);
}

TrainTest load_parts(const Format& format, const Spec& spec, const Device& host, const FittedInputs& fitted) {
  if (fitted.columns && format.load_prepared != nullptr) return format.load_prepared(spec, host, *fitted.columns);
  if (fitted.text && format.load_encoded != nullptr) return format.load_encoded(spec, host, fitted.text);
  return format.load(spec, host);
}

}  // namespace

TrainTest load(const std::string& text, const Device& device, const FittedInputs& fitted) {
  const Spec spec = Spec::parse(text);
  check_data_set(spec);
  TrainTest parts = load_parts(format_of(spec), spec, device.host(), fitted);
  prepare_images(spec, parts.train);
  prepare_images(spec, parts.test);
  parts.train.name = parts.test.name = text;
  parts.train = moved(std::move(parts.train), device);
  parts.test = moved(std::move(parts.test), device);
  return parts;
}

}  // namespace rtl::data
