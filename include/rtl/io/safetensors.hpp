// The safetensors format: eight bytes of header length, a JSON header, the tensors' bytes.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/io/file.hpp"

namespace rtl::io {

using Metadata = std::map<std::string, std::string>;

/// One tensor of a file. BOOL is read as u8.
struct TensorEntry {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::uint64_t offset = 0;  ///< of the first byte, from the beginning of the file
  std::uint64_t bytes = 0;
};

/// A tensor of a dtype that `rtl` does not read (I8, I16, U16, U32, U64, the 8-bit floats, ..): it may lie beside
/// others.
struct UnreadTensor {
  std::string name;
  std::string dtype;  ///< the format's name of it
  Shape shape;
};

/// A safetensors file, mapped into memory. Opening checks everything but the values: the header's length against the
/// file and against 100 MB, its JSON (no name twice), that every dtype is one of the format's, that shape times element
/// size is the size of the range, and that the ranges fill the file without overlap, hole or remainder. A file that
/// write_safetensors made carries a hash of all its bytes, which is checked as well (the whole file is read once, at
/// several GB/s): a damaged one is refused. A file from elsewhere has none, and its values are taken as they are.
class SafetensorsFile {
 public:
  /// Throws IoError if the file cannot be read, FormatError naming file and fault if it is damaged, or saying what it
  /// is (rtl/io/file_kind.hpp) if it is of another format.
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const noexcept { return file_.path(); }
  /// Those of dtype F64, F32, F16, BF16, I64, I32, U8 or BOOL, in the order of their bytes.
  const std::vector<TensorEntry>& tensors() const noexcept { return tensors_; }
  /// All others, in the order of their bytes.
  const std::vector<UnreadTensor>& unread() const noexcept { return unread_; }
  /// The header's __metadata__ without the content hash; empty if it has none.
  const Metadata& metadata() const noexcept { return metadata_; }
  /// 16 hexadecimal digits of the hash that the file was checked against; empty for a file from elsewhere.
  const std::string& content_hash() const noexcept { return content_hash_; }
  bool contains(const std::string& name) const noexcept;
  /// Throws FormatError, listing names, if there is no such tensor, and naming its dtype if `rtl` does not read that.
  /// So do bytes, view and load.
  const TensorEntry& entry(const std::string& name) const;
  /// The mapped bytes; valid while this object lives.
  std::span<const std::byte> bytes(const std::string& name) const;
  /// The mapped values as a host view, without a copy; valid while this object lives. Throws FormatError if the file
  /// puts them at an address that their dtype cannot have (files that rtl writes never do); `load` takes those too.
  ConstView view(const std::string& name) const;
  /// A copy on `device`.
  Tensor load(const std::string& name, const Device& device) const;

 private:
  MappedFile file_;
  Device host_;
  std::vector<TensorEntry> tensors_;
  std::vector<UnreadTensor> unread_;
  std::map<std::string, std::size_t> index_;
  Metadata metadata_;
  std::string content_hash_;
};

/// Name and values; the views may be on any device and must be contiguous.
using NamedView = std::pair<std::string, ConstView>;

/// Writes beside the target and renames (AtomicFile). The bytes are a function of the arguments' contents alone:
/// tensors are ordered by falling element size, then by name, and the header is padded to a multiple of eight, so every
/// tensor is aligned. The metadata get an entry "rtl.content_hash" with the XXH64 of the whole file (its own digits as
/// zeros), and the padding is tabs, which mark the file as one that has it. Throws ValueError for a name that is given
/// twice, reserved ("__metadata__", "rtl.content_hash") or not UTF-8, ShapeError for a view that is not contiguous,
/// IoError if the file cannot be written.
void write_safetensors(const std::string& path, const std::vector<NamedView>& tensors, const Metadata& metadata = {});

}  // namespace rtl::io
