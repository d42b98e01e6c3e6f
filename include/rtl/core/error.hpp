// Typed exceptions. Every failure of the library is one of these; nothing calls exit or abort.
#pragma once

#include <stdexcept>
#include <string>

namespace rtl {

/// Base of every exception that the library throws. The text names the call, the shapes or values that do not fit,
/// and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Shapes that do not fit each other or the operation.
class ShapeError : public Error {
  using Error::Error;
};

/// A dtype that the operation does not take.
class DTypeError : public Error {
  using Error::Error;
};

/// Tensors on the wrong device, or a device that does not exist.
class DeviceError : public Error {
  using Error::Error;
};

/// A CUDA runtime, cuBLAS, cuDNN or cuSOLVER call failed.
class CudaError : public Error {
  using Error::Error;
};

/// Memory could not be had; the text carries the allocator's figures.
class OutOfMemory : public Error {
  using Error::Error;
};

/// An argument or a value outside what the call is defined for (a negative penalty, NaN in features, one class only).
class ValueError : public Error {
  using Error::Error;
};

/// A file that is damaged or not of the expected format. The text starts with the file's name.
class FormatError : public Error {
 public:
  FormatError(const std::string& file, const std::string& fault);
  const std::string& file() const noexcept { return file_; }

 private:
  std::string file_;
};

/// A file that could not be opened, read, written or renamed. The text starts with the file's name.
class IoError : public Error {
 public:
  IoError(const std::string& file, const std::string& fault);
  const std::string& file() const noexcept { return file_; }

 private:
  std::string file_;
};

/// A part of the library that this build does not contain; the text names the build option that adds it.
class NotCompiled : public Error {
  using Error::Error;
};

}  // namespace rtl
