#if RTL_WITH_HDF5

#include "io/hdf5_library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <string>

#include "rtl/core/error.hpp"

namespace rtl::io {
namespace {

class Symbols {
 public:
  explicit Symbols(const char* file) : file_(file), library_(dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
    if (library_ == nullptr) refuse(dlerror());
  }
  template <typename Function>
  void find(const char* name, Function& function) const {
    function = reinterpret_cast<Function>(address(name));
  }
  hid_t type(const char* name) const { return *static_cast<const hid_t*>(address(name)); }

 private:
  void* address(const char* name) const {
    void* found = dlsym(library_, name);
    if (found == nullptr) refuse(dlerror());
    return found;
  }
  [[noreturn]] void refuse(const char* fault) const {
    throw NotCompiled(fmt::format("HDF5 files are read by {}, which cannot be loaded (Debian: libhdf5-103-1): {}",
                                  file_, fault == nullptr ? "it lacks a function" : fault));
  }

  const char* file_;
  void* library_;
};

Hdf5Library load() {
  const Symbols symbols(RTL_HDF5_LIBRARY);
  Hdf5Library library;
// The first name is replaced by that of the interface's version, which is looked up.
#define RTL_HDF5_TEXT(name) #name
#define RTL_HDF5_FIND(name) symbols.find(RTL_HDF5_TEXT(name), library.name);
  RTL_HDF5_FUNCTIONS(RTL_HDF5_FIND)
#undef RTL_HDF5_FIND
#undef RTL_HDF5_TEXT
  herr_t (*open)() = nullptr;
  symbols.find("H5open", open);
  if (open() < 0) throw OutOfMemory("libhdf5 cannot be started");
  library.native_u8 = symbols.type("H5T_NATIVE_UINT8_g");
  library.native_i64 = symbols.type("H5T_NATIVE_INT64_g");
  library.native_u64 = symbols.type("H5T_NATIVE_UINT64_g");
  library.native_f32 = symbols.type("H5T_NATIVE_FLOAT_g");
  library.native_f64 = symbols.type("H5T_NATIVE_DOUBLE_g");
  library.c_string = symbols.type("H5T_C_S1_g");
  return library;
}

}  // namespace

const Hdf5Library& hdf5() {
  static const Hdf5Library library = load();
  return library;
}

}  // namespace rtl::io

#endif
