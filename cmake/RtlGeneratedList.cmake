# rtl_generated_list(SOURCES_VARIABLE
#   FOLDER src/data/formats     every file NAME.cpp of it defines in NAMESPACE a function `const TYPE& NAME();`
#   NAMESPACE rtl::data::formats
#   HEADER data/format.hpp      declares TYPE
#   TYPE Format
#   FUNCTION all)
# writes a source file that defines `const std::vector<const TYPE*>& FUNCTION();` in NAMESPACE, with an entry a file in
# the order of their names, and appends its path to SOURCES_VARIABLE. So that a new file is all that a new entry takes:
# objects that register themselves when a program starts are lost in static libraries.
# With ENTRY study an entry is a folder NAME of FOLDER instead, whose file study.cpp defines `const TYPE& study();` in
# NAMESPACE::NAME.
function(rtl_generated_list sources_variable)
  cmake_parse_arguments(LIST "" "FOLDER;NAMESPACE;HEADER;TYPE;FUNCTION;ENTRY" "" ${ARGN})
  set(pattern "*.cpp")
  if(LIST_ENTRY)
    set(pattern "*/${LIST_ENTRY}.cpp")
  endif()
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${LIST_FOLDER}/${pattern})
  list(SORT files)
  set(declarations "")
  set(entries "")
  foreach(file ${files})
    if(LIST_ENTRY)
      get_filename_component(folder ${file} DIRECTORY)
      get_filename_component(name ${folder} NAME)
      string(APPEND declarations "namespace ${name} {\nconst ${LIST_TYPE}& ${LIST_ENTRY}();\n}\n")
      string(APPEND entries "      &${name}::${LIST_ENTRY}(),\n")
    else()
      get_filename_component(name ${file} NAME_WE)
      string(APPEND declarations "const ${LIST_TYPE}& ${name}();\n")
      string(APPEND entries "      &${name}(),\n")
    endif()
  endforeach()
  string(REPLACE "/" "_" name ${LIST_FOLDER})
  set(output ${PROJECT_BINARY_DIR}/generated/${name}.cpp)
  set(content "// Made by CMake from the files of ${LIST_FOLDER}.
#include <vector>

#include \"${LIST_HEADER}\"

namespace ${LIST_NAMESPACE} {

${declarations}
const std::vector<const ${LIST_TYPE}*>& ${LIST_FUNCTION}() {
  static const std::vector<const ${LIST_TYPE}*> all{
${entries}  };
  return all;
}

}  // namespace ${LIST_NAMESPACE}
")
  file(CONFIGURE OUTPUT ${output} CONTENT "${content}" @ONLY)
  set(${sources_variable} ${${sources_variable}} ${output} PARENT_SCOPE)
endfunction()
