// How predictors are kept in a file: a tree of named parts, as tensors and metadata of one safetensors file. The name
// of a part precedes the names of all that is in it ("member0.head.weight").
#pragma once

#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rtl/io/safetensors.hpp"
#include "rtl/layers/network.hpp"
#include "rtl/transfer/predictor.hpp"

namespace rtl::transfer {

class ArchiveWriter {
 public:
  ArchiveWriter();

  /// A part; what is written to it is written to this archive.
  ArchiveWriter part(std::string_view name) const;

  void text(std::string_view key, std::string_view value);
  void number(std::string_view key, double value);  ///< exactly
  void integer(std::string_view key, std::int64_t value);
  void shape(std::string_view key, const Shape& shape);
  /// The tensor has to outlive the archive.
  void tensor(std::string_view name, const Tensor& tensor);
  /// Takes the tensor over.
  void store(std::string_view name, Tensor tensor);
  /// As parts called `name`: architecture, weights and statistics; the normalisation of its inputs.
  void network(std::string_view name, layers::Network& network, const data::InputNormalization& normalization);
  /// Of features alone only their name and number, whoever loads the predictor gives them, and what made them, if that
  /// is known (FrozenSource::maker).
  void source(std::string_view name, const FrozenSource& source);
  void predictor(std::string_view name, Predictor& predictor);

  /// Written beside and renamed. Throws IoError.
  void save(const std::string& path) const;

 private:
  struct Contents;
  ArchiveWriter(std::shared_ptr<Contents> contents, std::string prefix);
  std::string name_of(std::string_view name) const { return prefix_ + std::string(name); }

  std::shared_ptr<Contents> contents_;
  std::string prefix_;
};

/// Everything throws FormatError, naming the file and what is missing or of another kind.
class ArchiveReader {
 public:
  /// Throws IoError for a file that cannot be read.
  ArchiveReader(const std::string& path, Device device);

  ArchiveReader part(std::string_view name) const;
  const Device& device() const noexcept { return device_; }
  const std::string& path() const { return file_->path(); }

  bool has(std::string_view key) const;  ///< of text, numbers and shapes
  bool has_tensor(std::string_view name) const;
  const std::string& text(std::string_view key) const;
  double number(std::string_view key) const;
  std::int64_t integer(std::string_view key) const;  ///< not negative
  Shape shape(std::string_view key) const;
  /// f32, of this shape.
  Tensor tensor(std::string_view name, const Shape& shape) const;
  /// f64 [n], or empty if it is not there.
  std::vector<double> numbers(std::string_view name) const;
  std::unique_ptr<layers::Network> network(std::string_view name) const;
  data::InputNormalization normalization(std::string_view name) const;
  FrozenSource source(std::string_view name) const;
  std::unique_ptr<Predictor> predictor(std::string_view name) const;
  /// Says what is wrong with this file.
  [[noreturn]] void fail(const std::string& fault) const;

 private:
  ArchiveReader(std::shared_ptr<const io::SafetensorsFile> file, Device device, std::string prefix);
  std::string name_of(std::string_view name) const { return prefix_ + std::string(name); }

  std::shared_ptr<const io::SafetensorsFile> file_;
  Device device_;
  std::string prefix_;
};

}  // namespace rtl::transfer
