// The files of one checkpoint: a safetensors file, or those that an index names.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rtl/io/safetensors.hpp"

namespace rtl::layers {

/// A safetensors file, or the shards of "model.safetensors.index.json", whose "weight_map" says which file of the same
/// folder has each tensor. Throws IoError and FormatError as SafetensorsFile; FormatError, naming the index, for one
/// that is no such list, that names a file outside of its folder, a file that is not there, or a tensor that its file
/// lacks.
class CheckpointFile {
 public:
  explicit CheckpointFile(const std::string& path);

  const std::string& path() const noexcept { return path_; }
  const std::vector<io::TensorEntry>& tensors() const noexcept { return tensors_; }
  const std::vector<io::UnreadTensor>& unread() const noexcept { return unread_; }
  /// Of a single file; those of shards are not looked at.
  const io::Metadata& metadata() const noexcept { return metadata_; }
  Tensor load(const std::string& name, const Device& device) const {
    return files_.at(at_.at(name))->load(name, device);
  }
  /// The file, if it is one.
  const io::SafetensorsFile* single() const noexcept { return sharded_ ? nullptr : files_.front().get(); }

 private:
  void open_shards();

  std::string path_;
  bool sharded_;
  std::vector<std::unique_ptr<io::SafetensorsFile>> files_;
  std::map<std::string, std::size_t> at_;  ///< which file has a tensor
  std::vector<io::TensorEntry> tensors_;
  std::vector<io::UnreadTensor> unread_;
  io::Metadata metadata_;
};

}  // namespace rtl::layers
