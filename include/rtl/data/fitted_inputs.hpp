// What makes inputs for a model of other files as it made them of the rows that the model was trained on.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rtl/data/image_form.hpp"

namespace rtl::data {

class Preprocessing;
class TextEncoder;

/// Kept with data sets and with models, whose files have each part as an entry of text in their metadata. A part is
/// null where the inputs are of another sort, or nothing is known of them. Copies share the parts, which do not change.
struct FittedInputs {
  std::shared_ptr<const Preprocessing> columns = nullptr;  ///< of tables (preprocessing.hpp)
  std::shared_ptr<const TextEncoder> text = nullptr;       ///< of texts (text_encoder.hpp)
  std::shared_ptr<const ImageForm> images = nullptr;       ///< of images (image_form.hpp)

  bool empty() const { return !columns && !text && !images; }
  /// What files keep: under the key of each part its text; none for a part that is null.
  std::map<std::string, std::string> entries() const;
  /// The keys that entries() may have.
  static const std::vector<std::string>& keys();
  /// Of entries() among others; parts without an entry are null. Throws FormatError, naming `file`, for one that
  /// entries() did not write.
  static FittedInputs parse(const std::string& file, const std::map<std::string, std::string>& entries);
};

}  // namespace rtl::data
