# The papers' experiments (rtl reproduce): an object library of the program and its tests, no part of librtl.a.
set(RTL_STUDY_LIST "")
rtl_generated_list(RTL_STUDY_LIST FOLDER src/studies ENTRY study NAMESPACE rtl::studies HEADER studies/study.hpp
  TYPE Study FUNCTION all)
add_library(rtl_studies OBJECT ${RTL_STUDY_SOURCES} ${RTL_STUDY_LIST})
target_include_directories(rtl_studies PUBLIC ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(rtl_studies PUBLIC rtl rtl_options fmt::fmt nlohmann_json::nlohmann_json
  PRIVATE OpenMP::OpenMP_CXX)
