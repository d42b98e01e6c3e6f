// Folders of pictures, one a class: DIR/CLASS/x.png, or DIR/train/CLASS/x.png and DIR/test/CLASS/y.jpg.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>

#include "core/by_name.hpp"
#include "core/joined.hpp"
#include "data/assemble.hpp"
#include "data/format.hpp"
#include "data/format_options.hpp"
#include "rtl/core/error.hpp"
#include "rtl/data/images.hpp"
#include "rtl/io/image.hpp"

namespace rtl::data::formats {
namespace {

namespace fs = std::filesystem;

/// Names of the folders in a folder, sorted; those that begin with a dot are none.
std::vector<std::string> list_folders(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> names;
  fs::directory_iterator entries(folder, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    std::error_code unknown;
    std::string name = entries->path().filename().string();
    if (entries->is_directory(unknown) && !name.starts_with('.')) names.push_back(std::move(name));
  }
  if (error) throw IoError(folder, fmt::format("cannot be read as a folder: {}", error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

bool is_picture(const std::string& name) {
  std::string ending = fs::path(name).extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return is_one_of(ending, {".png", ".jpg", ".jpeg"});
}

/// The folder of a part, if there are folders for parts.
std::optional<std::string> part_folder(const std::string& folder, Part part) {
  const auto has = [&](const char* name) {
    std::error_code unknown;
    return fs::is_directory(folder + "/" + name, unknown);
  };
  if (!has("train")) return std::nullopt;
  for (const char* test : {"test", "val", "validation"}) {
    if (has(test)) return folder + "/" + (part == Part::train ? "train" : test);
  }
  return std::nullopt;
}

/// Pictures of one size, as they are put together. Grey ones become coloured where others are.
class Pictures {
 public:
  Pictures(std::int64_t count, const ImageOptions& options, const Device& host)
      : count_(count), options_(options), host_(host) {}

  void add(const std::string& file) {
    const io::Image image = io::read_image(file);
    Tensor pixels = prepared(Tensor::from(image.pixels, {1, image.height, image.width, image.channels}, host_),
                             {.resize = options_.resize, .crop = options_.crop});
    const Shape& size = pixels.shape();
    if (added_ == 0) {
      first_ = file;
      images_ = Tensor::out_of_core(size.with(0, count_), DType::u8, host_);
    } else if (const Shape& first = images_.shape(); size[1] != first[1] || size[2] != first[2]) {
      throw FormatError(file, fmt::format("is {} by {} pixels, {} is {} by {}; resize=N makes them of one size",
                                          size[2], size[1], first_, first[2], first[1]));
    }
    if (size[3] == 3 && images_.extent(3) == 1) become_coloured();
    pixels = with_channels(pixels, images_.extent(3));
    copy_bytes(pixels, images_.view().slice(0, added_, added_ + 1));
    ++added_;
  }

  Tensor take() { return std::move(images_); }

 private:
  void become_coloured() {
    Tensor coloured = Tensor::out_of_core(images_.shape().with(3, 3), DType::u8, host_);
    for (std::int64_t i = 0; i < added_; ++i) {
      copy_bytes(with_channels(images_.rows(i, i + 1), 3), coloured.view().slice(0, i, i + 1));
    }
    images_ = std::move(coloured);
  }

  std::int64_t count_;
  ImageOptions options_;
  Device host_;
  Tensor images_;  ///< of all; the first `added_` are there
  std::int64_t added_ = 0;
  std::string first_;
};

/// All pictures of a folder of classes. `known` are the classes of the training part, empty while that is read.
Dataset read_folder(const Spec& spec, const std::string& folder, const std::vector<std::string>& known,
                    const Device& host) {
  const std::vector<std::string> classes = known.empty() ? list_folders(folder) : known;
  for (const std::string& name : list_folders(folder)) {
    if (std::find(classes.begin(), classes.end(), name) != classes.end()) continue;
    throw FormatError(folder, fmt::format("has a class '{}', which the training part has not; its classes are {}", name,
                                          joined(classes, ", ")));
  }
  std::vector<std::string> files;
  std::vector<std::int32_t> labels;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    const std::string of_class = folder + "/" + classes[label];
    if (!fs::is_directory(of_class)) continue;
    for (const std::string& name : list_folder(of_class)) {
      if (!is_picture(name)) continue;
      files.push_back(of_class + "/" + name);
      labels.push_back(static_cast<std::int32_t>(label));
    }
  }
  if (labels.empty()) {
    throw FormatError(folder, "has no picture; it needs a folder for each class, with .png, .jpg or .jpeg files");
  }
  const auto count = static_cast<std::int64_t>(labels.size());
  Pictures pictures(count, image_options(spec), host);
  for (const std::string& file : files) pictures.add(file);
  return {pictures.take(), Tensor::from(labels, {count}, host), static_cast<std::int64_t>(classes.size()), classes, ""};
}

TrainTest load(const Spec& spec, const Device& host) {
  const std::string folder = spec.file();
  const auto train = part_folder(folder, Part::train);
  if (!train) {
    return assemble_files(spec, [&](const std::string& path, Part part) -> Dataset {
      const std::string of_part = decode_path(path);
      return read_folder(spec, of_part, list_folders(part == Part::test ? folder : of_part), host);
    });
  }
  const std::vector<std::string> classes = list_folders(*train);
  return assemble(
      spec, [&](Part part) -> LoadedPart { return {read_folder(spec, *part_folder(folder, part), classes, host)}; });
}

std::string fault(const Spec& spec) {
  const bool parted = spec.has("test_fraction") || spec.has("seed");
  if (parted && part_folder(spec.file(), Part::train)) {
    return "it has folders train and test; test_fraction and seed do not go with them";
  }
  return options::fault_of_test_part(spec);
}

SpecKind kind() {
  return {"images", "DIR", 1, "PNG and JPEG files, a folder for each class, in DIR or in DIR/train and DIR/test",
          options::together({options::images(), options::test_part(), options::parts()})};
}

}  // namespace

const Format& images() {
  static const Format format{kind(), load, fault};
  return format;
}

}  // namespace rtl::data::formats
