// Frozen features are computed once: a cache of them in memory and, if given a folder, on disk.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
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

/// Features [rows, columns], f32 or bf16, on the host, in memory of their own or in a mapped file. Read only, so
/// several threads may use one.
class FeatureTable {
 public:
  /// Copies `values` to the host if they are elsewhere.
  explicit FeatureTable(Tensor values);
  /// The values lie in `file`, at `offset`.
  FeatureTable(io::MappedFile file, std::size_t offset, const Shape& shape, DType dtype);

  /// Valid while the table lives.
  ConstView view() const;
  bool is_mapped() const noexcept { return file_ != nullptr; }
  std::int64_t rows() const { return view().extent(0); }
  std::int64_t columns() const { return view().extent(1); }
  /// The chosen rows (all, in order, if null) as an f32 tensor on `device`. Throws ValueError for a row outside.
  Tensor gather(const std::vector<std::int64_t>* rows, const Device& device) const;

 private:
  Device host_;
  Tensor values_;
  std::unique_ptr<io::MappedFile> file_;
  std::size_t offset_ = 0;
  Shape shape_;
  DType dtype_ = DType::f32;
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
  /// Also in `folder`, which is made if need be. storage is f32 or bf16 (half the bytes, features rounded to 8 bits of
  /// precision). Throws DTypeError for another, IoError if the folder cannot be made.
  explicit FeatureCache(std::string folder, DType storage = DType::f32);

  /// Features of every sample of `dataset` by `source`. Throws what FrozenSource::features throws.
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
