# Read by ctest: a test for each suite of `program`, where gtest_discover_tests would make a process for each case. A suite
# with a skipped case is skipped.
if(NOT EXISTS ${program})
  add_test(${module}_NOT_BUILT ${program})
  return()
endif()
execute_process(COMMAND ${program} --gtest_list_tests "--gtest_filter=${filter}" OUTPUT_VARIABLE listed
  RESULT_VARIABLE status TIMEOUT 120)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${program} does not list its tests: ${status}")
endif()
string(REGEX MATCHALL "(^|\n)[^ \n]+\\." suites "${listed}")
foreach(suite ${suites})
  string(STRIP ${suite} suite)
  string(REGEX REPLACE "\\.$" "" name ${suite})
  add_test(${name} ${CMAKE_CURRENT_LIST_DIR}/cases ${program} "${suite}*${filter}")
  set_tests_properties(${name} PROPERTIES TIMEOUT 900 SKIP_RETURN_CODE 77 LABELS ${module} ENVIRONMENT "${environment}")
endforeach()
