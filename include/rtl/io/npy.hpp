// NumPy's .npy (format versions 1 to 3) and .npz.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/io/file.hpp"

namespace rtl::io {

/// Reads a .npy or .npy.gz file. float64, float32, float16, int64, int32 and uint8 keep their type; bool becomes u8;
/// int8, int16 and uint16 become i32; uint32 and uint64 become i64. Either byte order is read; Fortran order is brought
/// to row-major order. Throws FormatError for any other type (text: see parse_npy_text), a uint64 that int64 does not
/// hold, a damaged header, more or fewer bytes than the shape needs; IoError if the file cannot be read.
Tensor read_npy(const std::string& path, const Device& device);
/// The same from memory; `name` is what error texts call it.
Tensor parse_npy(std::span<const std::byte> content, const std::string& name, const Device& device);

/// An array of text, in row-major order, as UTF-8.
struct TextArray {
  Shape shape;
  std::vector<std::string> values;
};
/// Whether a .npy file holds text ('U' or 'S'). Throws FormatError if it is none.
bool npy_holds_text(std::span<const std::byte> content, const std::string& name);
/// Its text, zeros at the end of each element dropped; bytes ('S') are taken as they are. Throws FormatError for other
/// types, characters that Unicode does not have, and damage.
TextArray parse_npy_text(std::span<const std::byte> content, const std::string& name);

/// The bytes of a .npy file: version 1.0, little-endian, row-major, data aligned to 64. `values` is contiguous, on any
/// device. Throws DTypeError for bf16, which NumPy does not have.
Bytes encode_npy(ConstView values);
/// encode_npy into a file, written beside and renamed. Throws IoError.
void write_npy(const std::string& path, ConstView values);

/// A .npz archive: a zip file of .npy members, stored or deflated, zip64 included. Members' checksums are verified when
/// loaded. The file is mapped; a member is unpacked straight from the map. Any number of threads may use one object,
/// one of them at a time reads.
class NpzFile {
 public:
  /// Throws IoError if the file cannot be read, FormatError if it is no zip archive, is damaged, or uses what NumPy
  /// does not write (encryption, archives of several files, members that are no .npy).
  explicit NpzFile(const std::string& path);
  NpzFile(const NpzFile&) = delete;
  NpzFile& operator=(const NpzFile&) = delete;
  ~NpzFile();
  const std::string& path() const noexcept { return file_.path(); }
  /// Names without ".npy", in the archive's order.
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const noexcept;
  /// Throws FormatError if there is no such member (listing those there are), it is damaged, or it is neither stored
  /// nor deflated.
  Tensor load(const std::string& name, const Device& device) const;
  /// The member's .npy file, checked. Throws FormatError likewise.
  Bytes content(const std::string& name) const;

 private:
  struct Archive;
  MappedFile file_;
  std::unique_ptr<Archive> archive_;
};

/// Writes a .npz archive beside its target and renames it; arrays of 4 GiB and more make it zip64. The bytes depend on
/// the arguments and the version of libzip alone (no time stamps). Holds in memory, beside the arrays, one member as
/// the archive has it, and a copy of an array that is on a device. Throws ValueError for a name that is given twice,
/// empty or longer than 65531 characters; DTypeError for bf16; ShapeError for a strided view; IoError.
void write_npz(const std::string& path, const std::vector<std::pair<std::string, ConstView>>& arrays,
               bool compress = false);

}  // namespace rtl::io
