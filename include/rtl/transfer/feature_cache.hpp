// Frozen features are computed once: a cache of them in memory and, if given a folder, on disk.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "rtl/data/dataset.hpp"
#include "rtl/io/file.hpp"
#include "rtl/transfer/source.hpp"

namespace rtl::transfer {

/// What the features of an entry depend on. Two keys are equal only if all members are.
struct FeatureKey {
  std::uint64_t weights = 0;        ///< FrozenSource::fingerprint
  std::uint64_t data = 0;           ///< Dataset::input_hash
  std::uint64_t preprocessing = 0;  ///< normalization, and what rounding depends on: library version, device, threads
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  DType storage = DType::f32;

  static FeatureKey of(const FrozenSource& source, const data::Dataset& dataset, DType storage);
  /// One hash of all members: the file's name.
  std::uint64_t hash() const;
  friend bool operator==(const FeatureKey&, const FeatureKey&) = default;
};

/// Features [rows, columns] on the host, in memory of their own or in a mapped file, and from the first time that a
/// CUDA device needs them, there too, or, where it has no room for them, in page-locked memory of the host, which its
/// gathers read over the bus; training steps fetch the rows of each batch while the step before works, so that a step
/// waits for the bus only where the rows take it longer than the step (docs/graph.md), with the same results. Read
/// only, so several threads may use one.
///
/// What is stored may be rounded: f32 is exact; bf16 has a relative error of at most 2^-8 an element, f16 of 2^-11
/// from 6e-5 to 65504 in magnitude, beyond which nothing is stored. u8 holds the number of one of 256 values from the
/// least to the largest of each column, in equal steps: an error of at most 1/510 of the column's range (and f32's
/// roundoff); columns that are constant are exact. It takes a quarter of f32's bytes and 8 bytes a column.
class FeatureTable {
 public:
  /// As they are. Copies `values` (f32, bf16 or f16) to the host if they are elsewhere.
  explicit FeatureTable(Tensor values);
  /// Rounds f32 `values` to `storage`: f32, bf16, f16 or u8. Throws ValueError where f16 overflows and where u8 is
  /// asked for numbers that are not finite, DTypeError for another storage.
  static FeatureTable stored_as(Tensor values, DType storage);
  /// The bytes of a table of that shape and storage lie in `file`, at `offset`, as bytes() gave them.
  FeatureTable(io::MappedFile file, std::size_t offset, const Shape& shape, DType storage);
  /// How many those are.
  static std::size_t byte_count(std::int64_t rows, std::int64_t columns, DType storage);

  /// What is stored, row-major: of u8 the numbers of the values. Valid while the table lives.
  ConstView view() const;
  /// All that is stored: of u8, scale and shift of each column (f32) are in front of the numbers.
  std::span<const std::byte> bytes() const;
  bool is_mapped() const noexcept { return file_ != nullptr; }
  bool is_finite() const;
  std::int64_t rows() const { return shape_[0]; }
  std::int64_t columns() const { return shape_[1]; }
  DType storage() const noexcept { return storage_; }
  /// The chosen rows (all, in order, if null) as an f32 tensor on `device`: gathered, converted and scaled in one pass.
  /// Throws ValueError for a row outside.
  Tensor gather(const std::vector<std::int64_t>* rows, const Device& device) const;
  /// What is stored, where a device reads it: a gather's or a training's table, of which batches are made without f32
  /// copies of the whole: the device's copy, or page-locked memory of the host. Valid while the table lives. Throws
  /// OutOfMemory where neither device nor host has room.
  ConstView view_on(const Device& device) const;
  /// f32 [3, p] on `device`: what makes (value - shift) * factor of what is stored (kernels::StoredFeatures); shift and
  /// factor f32 [p], or both undefined. Not defined where there is nothing to be done.
  Tensor transform(const Tensor& shift, const Tensor& factor, const Device& device) const;
  /// The same of features that are stored as they are.
  static Tensor plain_transform(const Tensor& shift, const Tensor& factor, const Device& device);

 private:
  /// Copies of what is stored that CUDA devices read, which may be asked for from several threads.
  struct Resident;

  FeatureTable(Tensor stored, const Shape& shape, DType storage);
  const std::byte* bytes_on(const Device& device) const;

  Device host_;
  Tensor stored_;  ///< u8, bytes(), or undefined where a file has them
  std::unique_ptr<io::MappedFile> file_;
  std::size_t offset_ = 0;
  Shape shape_;
  DType storage_ = DType::f32;
  std::shared_ptr<Resident> resident_;
};

/// A file of the cache: 128 bytes of header (magic "RTLFEAT\1", version, key, hash of the values, hash of the header),
/// then the values, row-major, little-endian. It is written beside its place and renamed there, so a killed writer
/// leaves no half-written entry and concurrent writers of one entry do no harm: the last to rename wins, with equal
/// bytes. Each entry is checked in full (header, key, length, hash of the values) when it is opened; one that is
/// damaged, of another version, or belongs to another key is computed anew and replaced. Safe for concurrent use.
class FeatureCache {
 public:
  struct Statistics {
    std::int64_t computed = 0;        ///< features calculated by a source
    std::int64_t read = 0;            ///< entries opened from disk
    std::int64_t reused = 0;          ///< answered from memory
    std::int64_t rejected = 0;        ///< files found damaged or foreign
    std::int64_t write_failures = 0;  ///< entries that could not be stored (the features are used all the same)
    std::string first_write_failure;  ///< what went wrong with the first of them
  };

  /// In memory only.
  explicit FeatureCache(DType storage = DType::f32);
  /// Also in `folder`, which is made if need be. storage is one of FeatureTable's: f32, bf16, f16 or u8. Throws
  /// DTypeError for another, IoError if the folder cannot be made.
  explicit FeatureCache(std::string folder, DType storage = DType::f32);

  /// Features of every sample of `dataset` by `source`. Throws what FrozenSource::features and FeatureTable::stored_as
  /// throw.
  std::shared_ptr<const FeatureTable> get(const FrozenSource& source, const data::Dataset& dataset);
  /// Where get() keeps an entry on disk; empty without a folder.
  std::string path_of(const FeatureKey& key) const;
  DType storage() const noexcept { return storage_; }
  Statistics statistics() const;
  /// Forgets what is in memory; files stay.
  void clear();

 private:
  std::shared_ptr<const FeatureTable> open(const FeatureKey& key);
  std::shared_ptr<const FeatureTable> compute(const FeatureKey& key, const FrozenSource& source,
                                              const data::Dataset& dataset);

  std::string folder_;
  DType storage_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::pair<FeatureKey, std::shared_ptr<const FeatureTable>>> entries_;
  Statistics statistics_;
};

}  // namespace rtl::transfer
