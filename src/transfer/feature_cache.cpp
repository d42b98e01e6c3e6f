#include "rtl/transfer/feature_cache.hpp"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <span>
#include <utility>

#include "rtl/io/hash.hpp"

namespace rtl::transfer {
namespace {

static_assert(std::endian::native == std::endian::little, "cache files are little-endian");

using Header = std::array<std::uint64_t, 16>;
constexpr std::uint64_t file_version = 1;
/// Changes whenever features of equal weights and data come to differ for another reason.
constexpr std::uint64_t preprocessing_version = 1;

std::uint64_t magic() {
  std::uint64_t number = 0;
  std::memcpy(&number, "RTLFEAT\1", sizeof number);
  return number;
}

std::uint64_t header_hash(const Header& header) { return io::hash64(std::as_bytes(std::span(header)).first(120)); }

std::size_t value_bytes(const FeatureKey& key) { return FeatureTable::byte_count(key.rows, key.columns, key.storage); }

Header make_header(const FeatureKey& key, std::span<const std::byte> values) {
  Header header{magic(),
                file_version,
                key.weights,
                key.data,
                key.preprocessing,
                static_cast<std::uint64_t>(key.rows),
                static_cast<std::uint64_t>(key.columns),
                static_cast<std::uint64_t>(key.storage),
                values.size(),
                io::hash64(values)};
  header.back() = header_hash(header);
  return header;
}

/// True if the file is exactly the entry of `key`, undamaged.
bool is_entry(std::span<const std::byte> file, const FeatureKey& key) {
  if (file.size() != sizeof(Header) + value_bytes(key)) return false;
  Header found{};
  std::memcpy(found.data(), file.data(), sizeof found);
  return found == make_header(key, file.subspan(sizeof found));
}

}  // namespace

FeatureKey FeatureKey::of(const FrozenSource& source, const data::Dataset& dataset, DType storage) {
  io::Hash64 preprocessing;
  preprocessing.add(preprocessing_version).add(RTL_VERSION).add(source.normalization().hash());
  if (source.precision() != Precision::f32) preprocessing.add(to_string(source.precision()));
  // Rounding differs between kinds of devices and, on the host, between numbers of threads.
  preprocessing.add(static_cast<std::uint64_t>(source.device().kind()));
  preprocessing.add(static_cast<std::uint64_t>(source.device().threads()));
  return {source.fingerprint(), dataset.input_hash(),   preprocessing.value(),
          dataset.size(),       source.feature_count(), storage};
}

std::uint64_t FeatureKey::hash() const {
  io::Hash64 hash;
  hash.add(weights).add(data).add(preprocessing);
  hash.add(static_cast<std::uint64_t>(rows)).add(static_cast<std::uint64_t>(columns)).add(name_of(storage));
  return hash.value();
}

FeatureCache::FeatureCache(DType storage) : FeatureCache(std::string(), storage) {}

FeatureCache::FeatureCache(std::string folder, DType storage) : folder_(std::move(folder)), storage_(storage) {
  FeatureTable::byte_count(0, 0, storage);  // throws where there is no such storage
  if (folder_.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) throw IoError(folder_, "cannot make the folder of the feature cache: " + error.message());
  io::remove_abandoned(folder_);
}

std::string FeatureCache::path_of(const FeatureKey& key) const {
  return folder_.empty() ? std::string() : fmt::format("{}/{}.features", folder_, io::to_hex(key.hash()));
}

std::shared_ptr<const FeatureTable> FeatureCache::get(const FrozenSource& source, const data::Dataset& dataset) {
  dataset.check();
  const FeatureKey key = FeatureKey::of(source, dataset, storage_);
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key.hash());
  if (found != entries_.end() && found->second.first == key) {
    ++statistics_.reused;
    return found->second.second;
  }
  auto table = open(key);
  if (!table) table = compute(key, source, dataset);
  entries_.insert_or_assign(key.hash(), std::pair(key, table));
  return table;
}

std::shared_ptr<const FeatureTable> FeatureCache::open(const FeatureKey& key) {
  const std::string path = path_of(key);
  if (path.empty() || !io::file_exists(path)) return nullptr;
  try {
    io::MappedFile file(path);
    if (is_entry(file.bytes(), key)) {
      ++statistics_.read;
      return std::make_shared<FeatureTable>(std::move(file), sizeof(Header), Shape{key.rows, key.columns}, key.storage);
    }
  } catch (const IoError&) {
    // An entry that cannot be read is as good as none: the features are computed below.
  }
  ++statistics_.rejected;
  return nullptr;
}

std::shared_ptr<const FeatureTable> FeatureCache::compute(const FeatureKey& key, const FrozenSource& source,
                                                          const data::Dataset& dataset) {
  auto table = std::make_shared<FeatureTable>(FeatureTable::stored_as(source.features(dataset), storage_));
  ++statistics_.computed;
  if (folder_.empty()) return table;
  try {
    const auto values = table->bytes();
    const Header header = make_header(key, values);
    io::AtomicFile file(path_of(key));
    file.write(std::as_bytes(std::span(header)));
    file.write(values);
    file.commit();
  } catch (const IoError& error) {
    if (statistics_.write_failures++ == 0) statistics_.first_write_failure = error.what();
  }
  return table;
}

FeatureCache::Statistics FeatureCache::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

void FeatureCache::clear() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
}

}  // namespace rtl::transfer
