# Everything the library links to. All are Debian 12 packages, installed by scripts/setup.
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
# Headers alone, which only sources of the library include.
find_path(RTL_XXHASH_HEADERS xxhash.h REQUIRED)
find_path(RTL_BOOST_HEADERS boost/math/distributions/students_t.hpp REQUIRED)
include(RtlNativeLibraries)
