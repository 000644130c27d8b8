# tests/fuzz/<name>_fuzz.cpp defines LLVMFuzzerTestOneInput for one parser.
# With PARLANCE_FUZZ each becomes a libFuzzer program; without, it is linked with replay_main.cpp.
# Either way one ctest entry runs every file of tests/fuzz/corpus/<name>/ through it once.
file(GLOB fuzz_files CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/*_fuzz.cpp")

add_custom_target(fuzzers)
foreach(file IN LISTS fuzz_files)
  get_filename_component(target "${file}" NAME_WE)
  string(REGEX REPLACE "_fuzz$" "" name "${target}")
  set(corpus "${CMAKE_CURRENT_LIST_DIR}/corpus/${name}")

  add_executable(${target} "${file}")
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  target_link_libraries(${target} PRIVATE parlance_options ${parlance_libraries})
  if(TARGET parlance_sanitizer_defaults)
    target_link_libraries(${target} PRIVATE parlance_sanitizer_defaults)
  endif()
  add_dependencies(fuzzers ${target})

  if(PARLANCE_FUZZ)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    add_test(NAME "fuzz/${name}" COMMAND ${target} -runs=0 "${corpus}")
  else()
    target_sources(${target} PRIVATE "${CMAKE_CURRENT_LIST_DIR}/replay_main.cpp")
    add_test(NAME "fuzz/${name}" COMMAND ${target} "${corpus}")
  endif()
  set_tests_properties("fuzz/${name}" PROPERTIES LABELS fuzz TIMEOUT 120)
endforeach()
