#include "rtl/io/npy_rows.hpp"

#include <fmt/format.h>

#include <utility>

#include "io/npy_header.hpp"
#include "rtl/core/error.hpp"
#include "rtl/io/file.hpp"

namespace rtl::io {

struct NpyRows::State {
  explicit State(const std::string& path) : file(path), content(parse_npy_content(checked(file), path)) {
    const std::size_t element = npy_element_bytes(content, path);
    check_npy_size(content, element, path);
    if (content.shape.rank() == 0 || content.shape[0] == 0) {
      throw FormatError(path, fmt::format("holds {}, which has no rows", content.shape.to_string()));
    }
    if (content.fortran_order && content.shape.rank() > 1) {
      throw FormatError(
          path, "is in column-major order, whose rows are scattered over the file; store np.ascontiguousarray(X)");
    }
    bytes = content.data.size() / static_cast<std::size_t>(content.shape[0]);
  }

  static std::span<const std::byte> checked(const MappedFile& file) {
    const std::span<const std::byte> all = file.bytes();
    const bool packed = all.size() > 1 && all[0] == std::byte{0x1f} && all[1] == std::byte{0x8b};
    if (packed) throw FormatError(file.path(), "is compressed, so it cannot be read in blocks of rows; gunzip it");
    return all;
  }

  MappedFile file;
  NpyContent content;
  std::size_t bytes;  ///< of a row
};

NpyRows::NpyRows(const std::string& path) : state_(std::make_unique<State>(path)) {}
NpyRows::~NpyRows() = default;

const std::string& NpyRows::path() const { return state_->file.path(); }
const Shape& NpyRows::shape() const { return state_->content.shape; }

Tensor NpyRows::read(std::int64_t begin, std::int64_t end, const Device& device) const {
  if (begin < 0 || begin > end || end > rows()) {
    throw ShapeError(fmt::format("NpyRows: rows {} to {} of {}, which has {}", begin, end, path(), rows()));
  }
  NpyContent part = state_->content;
  part.shape = part.shape.with(0, end - begin);
  part.data = part.data.subspan(static_cast<std::size_t>(begin) * state_->bytes,
                                static_cast<std::size_t>(end - begin) * state_->bytes);
  return npy_values(part, path(), device.host());
}

}  // namespace rtl::io
