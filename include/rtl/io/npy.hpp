// NumPy's .npy (format versions 1 to 3) and .npz.
#pragma once

#include <cstdint>
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

/// A .npz archive: a zip file of .npy members, stored or deflated. Members' checksums are verified when loaded.
class NpzFile {
 public:
  /// Throws IoError if the file cannot be read, FormatError if it is no zip archive, is damaged, or uses what NumPy
  /// does not write (encryption, other compression methods, archives of several files, members of 4 GiB and more).
  explicit NpzFile(const std::string& path);
  const std::string& path() const noexcept { return file_.path(); }
  /// Names without ".npy", in the archive's order.
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const noexcept;
  /// Throws FormatError if there is no such member (listing those there are) or it is damaged.
  Tensor load(const std::string& name, const Device& device) const;
  /// The member's .npy file, checked. Throws FormatError likewise.
  Bytes content(const std::string& name) const;

 private:
  struct Member {
    std::string name;
    std::uint16_t method = 0;
    std::uint32_t checksum = 0;
    std::size_t offset = 0;      ///< of the local header
    std::size_t compressed = 0;  ///< bytes in the archive
    std::size_t size = 0;        ///< bytes of the .npy
  };
  void read_directory();
  std::span<const std::byte> member_bytes(const Member& member) const;

  MappedFile file_;
  std::vector<Member> members_;
};

/// Writes a .npz archive beside its target and renames it. The bytes depend on the arguments alone (no time stamps).
/// Throws ValueError for a name that is given twice or empty, arrays of 2 GiB and archives of 3.75 GiB or more;
/// DTypeError for bf16; IoError.
void write_npz(const std::string& path, const std::vector<std::pair<std::string, ConstView>>& arrays,
               bool compress = false);

}  // namespace rtl::io
