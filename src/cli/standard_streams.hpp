// Standard output and error that outlive their readers.
#pragma once

#include <string>

namespace rtl::cli {

/// Makes stdout and stderr write on without error when their reader has gone (`rtl .. | head`): what a command then
/// still does, writing its files, is done. Standard error never fails. Whatever else goes wrong with standard output (a
/// full disk) stays an error.
void outlive_readers();

/// Whether the path leads to what standard output is ("/dev/stdout").
bool is_standard_output(const std::string& path) noexcept;

/// Whether standard output is a pipe that nobody reads any more.
bool output_reader_gone() noexcept;

}  // namespace rtl::cli
