#include "layers/checkpoint_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "io/json.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::layers {
namespace {

/// Which file has each tensor, by an index.
std::map<std::string, std::string> weight_map(const std::string& path) {
  constexpr std::size_t most_bytes = 100'000'000;
  const io::Bytes content = io::read_file(path, most_bytes);
  const io::Json index = io::parse_json(
      path, std::string_view(reinterpret_cast<const char*>(content.data()), content.size()), "the index");
  return io::decode_json(path, [&] {
    std::map<std::string, std::string> files;
    for (const auto& [tensor, file] : index.at("weight_map").items()) files.emplace(tensor, file.get<std::string>());
    return files;
  });
}

/// Where a file that an index names lies: beside it, and nowhere else.
std::string beside(const std::string& index, const std::string& name) {
  const bool plain = !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
                     name.find('\0') == std::string::npos;
  if (!plain) {
    std::string shown = io::valid_utf8(name);
    std::replace(shown.begin(), shown.end(), '\0', '?');
    throw FormatError(index, fmt::format("names the file '{}', which is none of its folder", shown));
  }
  return (std::filesystem::path(index).parent_path() / name).string();
}

}  // namespace

CheckpointFile::CheckpointFile(const std::string& path) : path_(path), sharded_(path.ends_with(".json")) {
  if (sharded_) {
    open_shards();
    return;
  }
  files_.push_back(std::make_unique<io::SafetensorsFile>(path));
  const io::SafetensorsFile& file = *files_.front();
  tensors_ = file.tensors();
  unread_ = file.unread();
  metadata_ = file.metadata();
  for (const io::TensorEntry& entry : tensors_) at_.emplace(entry.name, 0);
}

void CheckpointFile::open_shards() {
  const std::map<std::string, std::string> map = weight_map(path_);
  if (map.empty()) throw FormatError(path_, "its weight_map names no tensor");
  std::map<std::string, std::size_t> opened;
  for (const auto& [tensor, name] : map) {
    const auto [place, is_new] = opened.emplace(name, files_.size());
    if (is_new) {
      const std::string file = beside(path_, name);
      if (!io::file_exists(file)) {
        throw FormatError(path_, fmt::format("names the file '{}', which is not beside it; fetch all parts", name));
      }
      files_.push_back(std::make_unique<io::SafetensorsFile>(file));
    }
    const io::SafetensorsFile& file = *files_[place->second];
    const auto& unread = file.unread();
    const auto other = std::find_if(unread.begin(), unread.end(), [&](const auto& one) { return one.name == tensor; });
    if (file.contains(tensor)) {
      tensors_.push_back(file.entry(tensor));
      at_.emplace(tensor, place->second);
    } else if (other != unread.end()) {
      unread_.push_back(*other);
    } else {
      throw FormatError(path_, fmt::format("says that '{}' has the tensor '{}', but it has not", name, tensor));
    }
  }
}

}  // namespace rtl::layers
