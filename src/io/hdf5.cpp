#include "io/hdf5.hpp"

#include <fmt/format.h>

#include "rtl/core/error.hpp"

#if RTL_WITH_HDF5

#include <algorithm>
#include <array>
#include <climits>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "core/joined.hpp"
#include "io/hdf5_library.hpp"
#include "rtl/io/file.hpp"

namespace rtl::io {
namespace {

/// Debian's libhdf5 may be called by one thread at a time. Recursive: errors list what the file has.
std::recursive_mutex& library() {
  static std::recursive_mutex mutex;
  return mutex;
}

class Handle {
 public:
  Handle() = default;
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  explicit operator bool() const { return id_ >= 0; }
  hid_t operator*() const { return id_; }

 private:
  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;
};

struct Dataset {
  Handle object, type, space;
  Shape shape;
};

std::string absolute(const std::string& path) { return path.starts_with('/') ? path : "/" + path; }

/// Whether every link on the way is one within the file, and leads somewhere.
bool leads_somewhere(hid_t file, const std::string& path) {
  for (std::size_t end = 1; end != std::string::npos;) {
    end = path.find('/', end + 1);
    const std::string part = path.substr(0, end);
    H5L_info_t link{};
    if (hdf5().H5Lget_info(file, part.c_str(), &link, H5P_DEFAULT) < 0) return false;
    if (link.type != H5L_TYPE_HARD && link.type != H5L_TYPE_SOFT) return false;
    if (hdf5().H5Oexists_by_name(file, part.c_str(), H5P_DEFAULT) <= 0) return false;
  }
  return true;
}

/// H5I_BADID for what is not there.
H5I_type_t kind_of(hid_t file, const std::string& path) {
  if (path != "/" && !leads_somewhere(file, path)) return H5I_BADID;
  const Handle object(hdf5().H5Oopen(file, path.c_str(), H5P_DEFAULT), hdf5().H5Oclose);
  return object ? hdf5().H5Iget_type(*object) : H5I_BADID;
}

Dataset open_dataset(hid_t file, const std::string& path, const std::string& label) {
  Dataset opened;
  opened.object = Handle(hdf5().H5Dopen2(file, path.c_str(), H5P_DEFAULT), hdf5().H5Dclose);
  if (!opened.object) throw FormatError(label, "is damaged: its header cannot be read");
  opened.type = Handle(hdf5().H5Dget_type(*opened.object), hdf5().H5Tclose);
  opened.space = Handle(hdf5().H5Dget_space(*opened.object), hdf5().H5Sclose);
  if (!opened.type || !opened.space) throw FormatError(label, "is damaged: it has no readable type or extents");
  if (hdf5().H5Sis_simple(*opened.space) <= 0) throw FormatError(label, "holds no array");
  const int rank = hdf5().H5Sget_simple_extent_ndims(*opened.space);
  if (rank < 0 || rank > Shape::max_rank) throw FormatError(label, fmt::format("has {} axes", rank));
  std::array<hsize_t, H5S_MAX_RANK> extents{};
  hdf5().H5Sget_simple_extent_dims(*opened.space, extents.data(), nullptr);
  if (hdf5().H5Sget_simple_extent_type(*opened.space) == H5S_NULL) throw FormatError(label, "holds no value");
  std::array<std::int64_t, Shape::max_rank> counts{};
  std::uint64_t all = 1;
  for (int axis = 0; axis < rank; ++axis) {
    const hsize_t extent = extents[static_cast<std::size_t>(axis)];
    if (extent > INT64_MAX / 64 || __builtin_mul_overflow(all, extent, &all) || all > INT64_MAX / 64)
      throw FormatError(label, "has impossible extents");
    counts[static_cast<std::size_t>(axis)] = static_cast<std::int64_t>(extent);
  }
  opened.shape = Shape(std::span<const std::int64_t>(counts.data(), static_cast<std::size_t>(rank)));
  return opened;
}

/// Refuses what lies elsewhere, and promises that the stored bytes cannot keep.
void check_storage(const Dataset& dataset, const std::string& label) {
  const Handle properties(hdf5().H5Dget_create_plist(*dataset.object), hdf5().H5Pclose);
  if (!properties) throw FormatError(label, "is damaged: its storage is not described");
  if (hdf5().H5Pget_layout(*properties) == H5D_VIRTUAL || (hdf5().H5Pget_external_count(*properties) > 0))
    throw FormatError(label, "lies in other files; copy it into this one");
  constexpr std::uint64_t best_ratio = 1040;  // of deflate
  const int filters = hdf5().H5Pget_nfilters(*properties);
  const std::uint64_t stored = hdf5().H5Dget_storage_size(*dataset.object);
  const auto needed = static_cast<std::uint64_t>(dataset.shape.count()) * hdf5().H5Tget_size(*dataset.type);
  if (filters < 0 || needed / (filters > 0 ? best_ratio : 1) > stored)
    throw FormatError(
        label, fmt::format("needs {} bytes, but {} are stored: it is damaged, or was never written", needed, stored));
}

/// Of the type in the file: the type in memory, and its dtype. Nothing for other types than numbers.
std::pair<hid_t, DType> memory_type(hid_t type) {
  const std::size_t size = hdf5().H5Tget_size(type);
  switch (hdf5().H5Tget_class(type)) {
    case H5T_FLOAT:
      if (size <= sizeof(float)) return {hdf5().native_f32, DType::f32};
      return {hdf5().native_f64, DType::f64};
    case H5T_INTEGER:
      if (size == 1 && hdf5().H5Tget_sign(type) == H5T_SGN_NONE) return {hdf5().native_u8, DType::u8};
      return {hdf5().native_i64, DType::i64};
    case H5T_ENUM:
      if (size == 1) return {hdf5().native_u8, DType::u8};  // h5py's booleans
      return {-1, DType::u8};
    default:
      return {-1, DType::u8};
  }
}

std::string name_of_type(hid_t type) {
  if (hdf5().H5Tget_class(type) == H5T_STRING) return "text";
  const auto [memory, dtype] = memory_type(type);
  return memory < 0 ? "neither numbers nor text" : std::string(name_of(dtype));
}

std::string without_padding(const char* text, std::size_t size, H5T_str_t padding) {
  std::string value(text, std::find(text, text + size, '\0'));
  if (padding == H5T_STR_SPACEPAD) value.erase(value.find_last_not_of(' ') + 1);
  return value;
}

using TextRead = herr_t (*)(hid_t object, hid_t type, void* to);
herr_t read_dataset(hid_t object, hid_t type, void* to) {
  return hdf5().H5Dread(object, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, to);
}

/// `count` texts of a data set or an attribute; nothing if they cannot be read.
std::optional<std::vector<std::string>> read_texts(hid_t object, hid_t type, hid_t space, std::size_t count,
                                                   TextRead read) {
  std::vector<std::string> values;
  if (hdf5().H5Tis_variable_str(type) <= 0) {
    const std::size_t size = hdf5().H5Tget_size(type);
    std::vector<char> buffer(count * size);
    if (read(object, type, buffer.data()) < 0) return {};
    const H5T_str_t padding = hdf5().H5Tget_strpad(type);
    for (std::size_t i = 0; i < count; ++i) values.push_back(without_padding(buffer.data() + i * size, size, padding));
    return values;
  }
  const Handle memory(hdf5().H5Tcopy(hdf5().c_string), hdf5().H5Tclose);
  hdf5().H5Tset_size(*memory, H5T_VARIABLE);
  hdf5().H5Tset_cset(*memory, hdf5().H5Tget_cset(type));
  std::vector<char*> texts(count, nullptr);
  const bool read_all = read(object, *memory, static_cast<void*>(texts.data())) >= 0;
  if (read_all) {
    for (const char* text : texts) values.emplace_back(text == nullptr ? "" : text);
  }
  hdf5().H5Dvlen_reclaim(*memory, space, H5P_DEFAULT, static_cast<void*>(texts.data()));
  if (!read_all) return {};
  return values;
}

/// Up to so many are named in an error.
constexpr std::size_t most_listed = 30;

herr_t list_object(hid_t file, const char* name, const H5O_info_t* info, void* data) noexcept {
  auto& list = *static_cast<std::vector<std::string>*>(data);
  if (info->type != H5O_TYPE_DATASET) return 0;
  try {
    const std::string path = absolute(name);
    const Dataset dataset = open_dataset(file, path, path);
    list.push_back(fmt::format("{} {} {}", path, dataset.shape.to_string(), name_of_type(*dataset.type)));
  } catch (const std::exception&) {
    // What cannot be opened is not offered.
  }
  return list.size() > most_listed ? 1 : 0;
}

}  // namespace

struct Hdf5File::State {
  Handle file;
  Dataset open(const std::string& path, const Hdf5File& owner) const {
    if (kind_of(*file, path) != H5I_DATASET) owner.fail_missing(path);
    return open_dataset(*file, path, owner.path() + ":" + path);
  }
  /// Attribute and its type and space; nothing if there is none.
  Dataset attribute(const std::string& path, const std::string& name) const {
    Dataset found;
    if (kind_of(*file, path) == H5I_BADID ||
        hdf5().H5Aexists_by_name(*file, path.c_str(), name.c_str(), H5P_DEFAULT) <= 0)
      return found;
    found.object =
        Handle(hdf5().H5Aopen_by_name(*file, path.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), hdf5().H5Aclose);
    if (!found.object) return found;
    found.type = Handle(hdf5().H5Aget_type(*found.object), hdf5().H5Tclose);
    found.space = Handle(hdf5().H5Aget_space(*found.object), hdf5().H5Sclose);
    return found;
  }
};

Hdf5File::Hdf5File(const std::string& path) : path_(path), state_(std::make_unique<State>()) {
  bytes_ = MappedFile(path).bytes().size();  // which also says why a file cannot be read
  const std::lock_guard lock(library());
  hdf5().H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  hdf5().H5PLset_loading_state(0);
  state_->file = Handle(hdf5().H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), hdf5().H5Fclose);
  if (!state_->file) throw FormatError(path, "is cut short, damaged or no HDF5 file");
}

Hdf5File::~Hdf5File() {
  const std::lock_guard lock(library());
  state_.reset();
}

bool Hdf5File::has_group(const std::string& path) const {
  const std::lock_guard lock(library());
  return kind_of(*state_->file, absolute(path)) == H5I_GROUP;
}

bool Hdf5File::has_dataset(const std::string& path) const {
  const std::lock_guard lock(library());
  return kind_of(*state_->file, absolute(path)) == H5I_DATASET;
}

std::string Hdf5File::contents() const {
  const std::lock_guard lock(library());
  std::vector<std::string> list;
  hdf5().H5Ovisit(*state_->file, H5_INDEX_NAME, H5_ITER_INC, list_object, &list);
  if (list.size() > most_listed) list.back() = "..";
  return list.empty() ? "no data set" : joined(list, ", ");
}

void Hdf5File::fail_missing(const std::string& path) const {
  throw FormatError(path_, fmt::format("has no data set '{}' of its own; it has {}", path, contents()));
}

bool Hdf5File::holds_text(const std::string& path) const {
  const std::lock_guard lock(library());
  return hdf5().H5Tget_class(*state_->open(absolute(path), *this).type) == H5T_STRING;
}

Tensor Hdf5File::numbers(const std::string& path) const {
  const std::lock_guard lock(library());
  const std::string label = path_ + ":" + absolute(path);
  const Dataset dataset = state_->open(absolute(path), *this);
  const auto [type, dtype] = memory_type(*dataset.type);
  if (type < 0) throw FormatError(label, fmt::format("holds {}, not numbers", name_of_type(*dataset.type)));
  check_storage(dataset, label);
  Tensor values(dataset.shape, dtype, Device::cpu(1));
  const bool wide = dtype == DType::i64 && hdf5().H5Tget_size(*dataset.type) == sizeof(std::uint64_t) &&
                    hdf5().H5Tget_sign(*dataset.type) == H5T_SGN_NONE;
  if (values.count() > 0 && read_dataset(*dataset.object, wide ? hdf5().native_u64 : type, values.view().data()) < 0)
    throw FormatError(label, "is damaged, or packed by a filter that this libhdf5 does not have");
  if (wide) {
    const std::vector<std::int64_t> read = values.to_vector<std::int64_t>();
    if (std::ranges::any_of(read, [](std::int64_t value) { return value < 0; }))
      throw FormatError(label, "holds whole numbers that int64 does not hold");
  }
  return values;
}

TextArray Hdf5File::text(const std::string& path) const {
  const std::lock_guard lock(library());
  const std::string label = path_ + ":" + absolute(path);
  const Dataset dataset = state_->open(absolute(path), *this);
  if (hdf5().H5Tget_class(*dataset.type) != H5T_STRING)
    throw FormatError(label, fmt::format("holds {}, not text", name_of_type(*dataset.type)));
  check_storage(dataset, label);
  TextArray array{dataset.shape, {}};
  if (dataset.shape.count() == 0) return array;
  auto values = read_texts(*dataset.object, *dataset.type, *dataset.space,
                           static_cast<std::size_t>(dataset.shape.count()), read_dataset);
  if (!values) throw FormatError(label, "is damaged, or packed by a filter that this libhdf5 does not have");
  array.values = *std::move(values);
  return array;
}

std::string Hdf5File::text_attribute(const std::string& path, const std::string& name) const {
  const std::lock_guard lock(library());
  const Dataset found = state_->attribute(absolute(path), name);
  if (!found.space || hdf5().H5Tget_class(*found.type) != H5T_STRING ||
      hdf5().H5Sget_simple_extent_npoints(*found.space) != 1)
    return {};
  constexpr std::size_t longest = 65536;
  if (hdf5().H5Tget_size(*found.type) > longest) return {};
  const auto values = read_texts(*found.object, *found.type, *found.space, 1, hdf5().H5Aread);
  return values ? values->front() : std::string();
}

std::vector<std::int64_t> Hdf5File::whole_attribute(const std::string& path, const std::string& name) const {
  const std::lock_guard lock(library());
  const Dataset found = state_->attribute(absolute(path), name);
  if (!found.space || hdf5().H5Tget_class(*found.type) != H5T_INTEGER) return {};
  constexpr hssize_t most = 32;
  const hssize_t count = hdf5().H5Sget_simple_extent_npoints(*found.space);
  if (count < 1 || count > most) return {};
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  if (hdf5().H5Aread(*found.object, hdf5().native_i64, values.data()) < 0) return {};
  return values;
}

}  // namespace rtl::io

#else

namespace rtl::io {

struct Hdf5File::State {};

namespace {

[[noreturn]] void refuse(const std::string& path) {
  throw NotCompiled(
      fmt::format("{}: this build reads no HDF5; install libhdf5 (Debian: libhdf5-dev) and configure "
                  "again, or convert it to .npy",
                  path));
}

}  // namespace

Hdf5File::Hdf5File(const std::string& path) : path_(path) { refuse(path); }
Hdf5File::~Hdf5File() = default;
bool Hdf5File::has_group(const std::string& /*path*/) const { refuse(path_); }
bool Hdf5File::has_dataset(const std::string& /*path*/) const { refuse(path_); }
std::string Hdf5File::contents() const { refuse(path_); }
void Hdf5File::fail_missing(const std::string& /*path*/) const { refuse(path_); }
bool Hdf5File::holds_text(const std::string& /*path*/) const { refuse(path_); }
Tensor Hdf5File::numbers(const std::string& /*path*/) const { refuse(path_); }
TextArray Hdf5File::text(const std::string& /*path*/) const { refuse(path_); }
std::string Hdf5File::text_attribute(const std::string& /*path*/, const std::string& /*name*/) const { refuse(path_); }
std::vector<std::int64_t> Hdf5File::whole_attribute(const std::string& /*path*/, const std::string& /*name*/) const {
  refuse(path_);
}

}  // namespace rtl::io

#endif
