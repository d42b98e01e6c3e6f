// HDF5 files: arrays of numbers and texts by their paths. Made by libhdf5; a build without it throws NotCompiled.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rtl/core/tensor.hpp"
#include "rtl/io/npy.hpp"

namespace rtl::io {

/// A file open for reading. Paths begin at the root, with or without '/'. Everything throws FormatError, naming file
/// and path, for what is damaged, not there (with a list of what is), or of another kind, for data sets of more bytes
/// than the file can hold, and for what lies in other files (external links and storage, virtual data sets). libhdf5
/// checks checksums only of data sets that carry them (fletcher32). Calls of all threads take turns.
class Hdf5File {
 public:
  /// Throws IoError if the file cannot be read, FormatError if it is no HDF5 file, NotCompiled.
  explicit Hdf5File(const std::string& path);
  Hdf5File(const Hdf5File&) = delete;
  Hdf5File& operator=(const Hdf5File&) = delete;
  ~Hdf5File();

  const std::string& path() const noexcept { return path_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  bool has_group(const std::string& path) const;
  bool has_dataset(const std::string& path) const;
  /// What the file has, for error texts: "/X [6, 4] f32, /y [6] text".
  std::string contents() const;
  /// "has no 'PATH'; it has ..", or that it is a group.
  [[noreturn]] void fail_missing(const std::string& path) const;

  bool holds_text(const std::string& path) const;
  /// Floating-point numbers of up to 4 bytes become f32, others f64; unsigned bytes and booleans u8, other whole
  /// numbers i64.
  Tensor numbers(const std::string& path) const;
  /// Of fixed or variable length, without the padding.
  TextArray text(const std::string& path) const;
  /// An attribute of an object that is one text; empty if there is none such.
  std::string text_attribute(const std::string& path, const std::string& name) const;
  /// An attribute of an object that is up to 32 whole numbers; none if there is none such.
  std::vector<std::int64_t> whole_attribute(const std::string& path, const std::string& name) const;

 private:
  struct State;
  std::string path_;
  std::uint64_t bytes_ = 0;
  std::unique_ptr<State> state_;
};

}  // namespace rtl::io
