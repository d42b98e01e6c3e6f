#include "rtl/io/npy_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
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

DType NpyRows::dtype() const { return npy_dtype(state_->content, path()); }

Tensor NpyRows::whole(const Device& device) const {
  const Device host = device.host();
  const NpyContent& content = state_->content;
  const auto header = static_cast<std::size_t>(content.data.data() - state_->file.bytes().data());
  if (npy_is_native(content, path()) && header % size_of(dtype()) == 0) {
    return {state_->file.memory(header, content.data.size()), 0, shape(), dtype(), host};
  }
  Tensor all = Tensor::out_of_core(shape(), dtype(), host);
  constexpr std::size_t block = std::size_t{8} << 20;
  const auto step = static_cast<std::int64_t>(block / state_->bytes + 1);
  const View values = all.view();
  for (std::int64_t begin = 0; begin < rows(); begin += step) {
    const std::int64_t end = std::min(begin + step, rows());
    copy_bytes(read(begin, end, host), values.slice(0, begin, end));
  }
  return all;
}

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
