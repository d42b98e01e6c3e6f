# Everything the library links to. All are Debian 12 packages, installed by scripts/setup.
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
include(RtlNativeLibraries)
