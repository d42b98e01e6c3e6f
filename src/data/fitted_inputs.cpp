#include "rtl/data/fitted_inputs.hpp"

#include "rtl/data/preprocessing.hpp"
#include "rtl/data/text_encoder.hpp"

namespace rtl::data {

std::map<std::string, std::string> FittedInputs::entries() const {
  std::map<std::string, std::string> texts;
  if (columns) texts[preprocessing_key] = columns->to_text();
  if (text) texts[text_encoder_key] = text->to_text();
  if (images) texts[image_form_key] = images->to_text();
  return texts;
}

const std::vector<std::string>& FittedInputs::keys() {
  static const std::vector<std::string> all{preprocessing_key, text_encoder_key, image_form_key};
  return all;
}

FittedInputs FittedInputs::parse(const std::string& file, const std::map<std::string, std::string>& entries) {
  FittedInputs inputs;
  if (const auto found = entries.find(preprocessing_key); found != entries.end()) {
    inputs.columns = std::make_shared<const Preprocessing>(Preprocessing::parse(file, found->second));
  }
  if (const auto found = entries.find(text_encoder_key); found != entries.end()) {
    inputs.text = TextEncoder::parse(file, found->second);
  }
  if (const auto found = entries.find(image_form_key); found != entries.end()) {
    inputs.images = std::make_shared<const ImageForm>(ImageForm::parse(file, found->second));
  }
  return inputs;
}

}  // namespace rtl::data
