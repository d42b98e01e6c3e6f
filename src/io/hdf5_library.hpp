// libhdf5, loaded when the first file is opened: linked, it and the thirty libraries that it needs in Debian would make
// every command start later than some take to run. Included where RTL_WITH_HDF5 is set.
#pragma once

#define H5_USE_110_API
#include <hdf5.h>

// Constants of the header call functions of the library otherwise.
#undef H5CHECK
#define H5CHECK
#undef H5OPEN
#define H5OPEN

/// What is called of it, by the names of this version's interface.
// clang-format off
#define RTL_HDF5_FUNCTIONS(X)                                                                                          \
  X(H5Aclose)                                                                                                          \
  X(H5Aexists_by_name)                                                                                                 \
  X(H5Aget_space) X(H5Aget_type) X(H5Aopen_by_name) X(H5Aread) X(H5Dclose) X(H5Dget_create_plist) X(H5Dget_space)      \
      X(H5Dget_storage_size) X(H5Dget_type) X(H5Dopen2) X(H5Dread) X(H5Dvlen_reclaim) X(H5Eset_auto2) X(H5Fclose)      \
          X(H5Fopen) X(H5Iget_type) X(H5Lget_info) X(H5Oclose) X(H5Oexists_by_name) X(H5Oopen) X(H5Ovisit) X(H5Pclose) \
              X(H5Pget_external_count) X(H5Pget_layout) X(H5Pget_nfilters) X(H5PLset_loading_state) X(H5Sclose)        \
                  X(H5Sget_simple_extent_dims) X(H5Sget_simple_extent_ndims) X(H5Sget_simple_extent_npoints)           \
                      X(H5Sget_simple_extent_type) X(H5Sis_simple) X(H5Tclose) X(H5Tcopy) X(H5Tget_class)              \
                          X(H5Tget_cset) X(H5Tget_sign) X(H5Tget_size) X(H5Tget_strpad) X(H5Tis_variable_str)          \
                              X(H5Tset_cset) X(H5Tset_size)
// clang-format on

namespace rtl::io {

struct Hdf5Library {
#define RTL_HDF5_MEMBER(name) decltype(&::name) name = nullptr;
  RTL_HDF5_FUNCTIONS(RTL_HDF5_MEMBER)
#undef RTL_HDF5_MEMBER
  hid_t native_u8 = -1, native_i64 = -1, native_u64 = -1, native_f32 = -1, native_f64 = -1, c_string = -1;
};

/// Loads it once; threads may call this. Throws NotCompiled, which names the package, where it is not installed.
const Hdf5Library& hdf5();

}  // namespace rtl::io
