#include "rtl/io/file_kind.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace rtl::io {
namespace {

using std::string_view_literals::operator""sv;

/// One line that turns what torch.save wrote into safetensors.
std::string torch_conversion(const std::string& path) {
  return fmt::format(
      "convert it: python -c \"import torch, safetensors.torch as s; d = torch.load('{0}', map_location='cpu', "
      "weights_only=True); d = d.get('state_dict', d); s.save_file({{k: v.clone().contiguous() for k, v in d.items() "
      "if torch.is_tensor(v)}}, '{0}.safetensors')\"",
      path);
}

std::string zip_kind(std::string_view start, const std::string& path) {
  if (start.find("data.pkl") != std::string_view::npos || start.find("/version") != std::string_view::npos ||
      start.find("constants.pkl") != std::string_view::npos) {
    return "is a zip archive as torch.save writes it, no safetensors file; " + torch_conversion(path);
  }
  if (start.find(".npy") != std::string_view::npos) {
    return "is a zip archive of NumPy arrays (.npz), no safetensors file; give it a name that ends in .npz where "
           "features are read, or save its arrays by safetensors.numpy.save_file";
  }
  return "is a zip archive, no safetensors file; if torch.save wrote it, " + torch_conversion(path);
}

struct Magic {
  std::string_view bytes;
  std::size_t offset;
  const char* kind;
};

constexpr Magic magics[] = {
    {"GGUF"sv, 0,
     "is a GGUF file, no safetensors file; read it by the Python package gguf and save its tensors by "
     "safetensors.numpy.save_file"},
    {"\x89HDF\r\n\x1a\n"sv, 0,
     "is an HDF5 file (Keras), no safetensors file; read it by h5py and save its arrays by "
     "safetensors.numpy.save_file, convolution kernels as [out, in, height, width]"},
    {"TFL3"sv, 4, "is a TFLite model, no safetensors file; save the weights of the model it was made from"},
    {"\x93NUMPY"sv, 0, "is a NumPy array (.npy), no safetensors file"},
    {"\x1f\x8b"sv, 0, "is compressed by gzip, no safetensors file; decompress it first (gunzip)"},
    {"version https://git-lfs"sv, 0, "is a Git LFS pointer, not the file itself; fetch it by git lfs pull"},
    {"<!DOCTYPE"sv, 0, "is an HTML page, no safetensors file; the download went wrong"},
    {"<!doctype"sv, 0, "is an HTML page, no safetensors file; the download went wrong"},
    {"<html"sv, 0, "is an HTML page, no safetensors file; the download went wrong"},
};

/// Field 1 (version) as a small number, then field 2 (the producer's name) of a printable text.
bool is_onnx(std::string_view start) {
  if (start.size() < 5 || start[0] != 0x08 || start[1] < 1 || start[1] > 32 || start[2] != 0x12) return false;
  const auto length = static_cast<std::size_t>(static_cast<unsigned char>(start[3]));
  if (length == 0 || length > 64 || start.size() < 4 + length) return false;
  return std::all_of(start.begin() + 4, start.begin() + 4 + static_cast<std::ptrdiff_t>(length),
                     [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

std::string foreign_kind(std::span<const std::byte> content, const std::string& path) {
  const std::string_view start(reinterpret_cast<const char*>(content.data()),
                               std::min<std::size_t>(content.size(), 4096));
  // A header of JSON stands behind the eight bytes of its length, whatever they spell.
  if (start.size() > 8 && start[8] == '{') return {};
  if (start.starts_with("PK\3\4") || start.starts_with("PK\5\6")) return zip_kind(start, path);
  if (start.size() > 2 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5) {
    return "is a Python pickle (torch.save in its older form), no safetensors file; " + torch_conversion(path);
  }
  for (const Magic& magic : magics) {
    if (start.size() >= magic.offset && start.substr(magic.offset).starts_with(magic.bytes)) return magic.kind;
  }
  if (is_onnx(start)) {
    return "is an ONNX model, no safetensors file; read it by the Python package onnx and save its initializers by "
           "safetensors.numpy.save_file";
  }
  if (start.starts_with("{") && start.find("\"weight_map\"") != std::string_view::npos) {
    return "is the index of a checkpoint in several files, which rtl does not join; load it in Python and save all "
           "tensors by one safetensors.torch.save_file";
  }
  return {};
}

}  // namespace rtl::io
