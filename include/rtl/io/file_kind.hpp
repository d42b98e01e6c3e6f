// Files of neighbouring formats, told by their first bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace rtl::io {

/// What a file is that is no safetensors file, and how to convert it: an archive or pickle of torch.save, GGUF, ONNX,
/// HDF5 (Keras), TFLite, NumPy, the index of a sharded checkpoint, a Git LFS pointer, an HTML page. Empty if its first
/// bytes say nothing. `path` is for the text alone. Reads at most the first 4 KiB of `content`.
std::string foreign_kind(std::span<const std::byte> content, const std::string& path);

}  // namespace rtl::io
