# One program for all unit tests; one ctest entry per file, so a failure names its file and a crash
# costs only that file's other tests. Single tests: build/dev/bin/parlance_unit_tests "name*".
find_package(Catch2 2.13 REQUIRED)
pkg_check_modules(libzip REQUIRED IMPORTED_TARGET libzip)

file(GLOB_RECURSE unit_tests CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/*_test.cpp")
file(GLOB test_support CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/../support/*.cpp")

add_executable(parlance_unit_tests
  "${CMAKE_CURRENT_LIST_DIR}/main.cpp" ${unit_tests} ${test_support})
set_target_properties(parlance_unit_tests PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
target_link_libraries(parlance_unit_tests PRIVATE
  parlance_options ${parlance_libraries} Catch2::Catch2 PkgConfig::libzip Threads::Threads)
if(TARGET parlance_sanitizer_defaults)
  target_link_libraries(parlance_unit_tests PRIVATE parlance_sanitizer_defaults)
endif()

# Only where it is needed: a path in the command line keeps ccache from serving another checkout.
set_source_files_properties("${CMAKE_CURRENT_LIST_DIR}/config/example_file_test.cpp"
  "${CMAKE_CURRENT_LIST_DIR}/storage/migrations_test.cpp" PROPERTIES
  COMPILE_DEFINITIONS "PARLANCE_SOURCE_DIR=\"${PROJECT_SOURCE_DIR}\"")

set(seen_names)
foreach(file IN LISTS unit_tests)
  # Catch2's `-#` gives every test the tag [#file], without folder: names must differ.
  get_filename_component(name "${file}" NAME_WE)
  if(name IN_LIST seen_names)
    message(FATAL_ERROR "Two unit test files are called ${name}.cpp; name one of them otherwise.")
  endif()
  list(APPEND seen_names ${name})
  file(RELATIVE_PATH path "${CMAKE_CURRENT_LIST_DIR}" "${file}")
  string(REGEX REPLACE "_test\\.cpp$" "" path "${path}")
  set(run "$<TARGET_FILE:parlance_unit_tests>" -\# --warn NoTests "[\#${name}]")
  if(name STREQUAL "chroma_server_test")  # Needs a server, which the wrapper starts.
    add_test(NAME "integration/${path}"
      COMMAND "${PARLANCE_PYTHON}" -B "${PROJECT_SOURCE_DIR}/tests/blackbox/with_chroma.py" ${run})
    set_tests_properties("integration/${path}" PROPERTIES LABELS integration TIMEOUT 300)
    continue()
  endif()
  add_test(NAME "unit/${path}" COMMAND ${run})
  set_tests_properties("unit/${path}" PROPERTIES LABELS unit TIMEOUT 120)
endforeach()
