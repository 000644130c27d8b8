# The pages: what turns events into a transcript, and journeys in a real browser. Included by
# tests/CMakeLists.txt. The console's journey is among the black-box tests.
add_test(NAME web/page_units COMMAND node node_modules/vitest/vitest.mjs run
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}/web")
set_tests_properties(web/page_units PROPERTIES LABELS web TIMEOUT 600)
file(GLOB journeys CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}" "${CMAKE_CURRENT_LIST_DIR}/*.test.mjs")
foreach(file ${journeys})
  get_filename_component(name "${file}" NAME_WE)
  add_test(NAME web/${name} COMMAND node --test "${file}" WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  # A browser beside other tests is slower than its waits allow.
  set_tests_properties(web/${name} PROPERTIES LABELS web TIMEOUT 600 RUN_SERIAL TRUE
    ENVIRONMENT "PARLANCE_BIN_DIR=${PROJECT_BINARY_DIR}/bin")
endforeach()
