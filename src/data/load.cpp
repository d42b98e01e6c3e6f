#include "rtl/data/load.hpp"

#include <fmt/format.h>

#include <utility>

#include "data/format.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/images.hpp"

namespace rtl::data {
namespace {

/// resize, crop and color, where they were not applied to one image after the other.
void prepare_images(const Spec& spec, Dataset& dataset) {
  ImageOptions options = image_options(spec);
  if (spec.kind == "images") options.resize = options.crop = 0;
  if (options.any()) dataset.inputs = prepared(std::move(dataset.inputs), options);
  dataset.fitted.images = std::make_shared<const ImageForm>(
      ImageForm{spec.whole("resize", 0), spec.whole("crop", 0), dataset.sample_shape()});
}

bool takes_image_options(const Format& format) { return format.kind.option("resize") != nullptr; }

/// Images in the form that the SPEC asks for, `completed` by that of a model.
void prepare_images(const Spec& spec, const Spec& completed, TrainTest& parts) {
  const bool images = parts.train.has_images() || parts.test.has_images();
  if (!images && image_options(spec).any()) {
    throw ValueError("SPEC '" + spec.to_string() + "': resize, crop and color are for images, and these are vectors");
  }
  if (!images) return;
  const Shape read = parts.train.sample_shape();
  for (Dataset* part : {&parts.train, &parts.test}) prepare_images(completed, *part);
  const bool resized = completed.text("resize") != spec.text("resize") || completed.text("crop") != spec.text("crop");
  if (!resized && (image_options(spec).channels != 0 || read[2] == parts.train.sample_shape()[2])) return;
  parts.notes.push_back(
      fmt::format("{}: the images are brought into the form of those that the model was trained on: {}",
                  spec.path.empty() ? spec.kind : spec.file(), parts.train.fitted.images->describe()));
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
  const Format& format = format_of(spec);
  const bool for_images = takes_image_options(format);
  const Spec completed = for_images && fitted.images ? fitted.images->complete(spec) : spec;
  TrainTest parts = load_parts(format, completed, device.host(), fitted);
  if (for_images) prepare_images(spec, completed, parts);
  parts.train.name = parts.test.name = text;
  parts.train = moved(std::move(parts.train), device);
  parts.test = moved(std::move(parts.test), device);
  return parts;
}

}  // namespace rtl::data
