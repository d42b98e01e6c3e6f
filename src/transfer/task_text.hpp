// Tasks in the metadata of files.
#pragma once

#include <string>

#include "rtl/transfer/task.hpp"

namespace rtl::transfer::detail {

/// Where the metadata have it.
inline constexpr const char* task_key = "rtl.task";

std::string encode_task(const Task& task);
/// Of a model with so many outputs. Throws FormatError, naming the file.
Task decode_task(const std::string& path, const std::string& text, std::int64_t outputs);

}  // namespace rtl::transfer::detail
