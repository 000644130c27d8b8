# parlance_blackbox_tests(<label> <pytest marker or "">)
# One ctest entry per test_*.py, run against this tree's bin folder; with a marker, only the files
# that use it and in them only the marked tests. A file may set its own properties in a comment:
#   # ctest: TIMEOUT=600 PROCESSORS=2
function(parlance_blackbox_tests label marker)
  set(folder "${PROJECT_SOURCE_DIR}/tests/blackbox")
  file(GLOB files CONFIGURE_DEPENDS "${folder}/test_*.py")
  foreach(file IN LISTS files)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    set(select)
    if(marker)
      file(STRINGS "${file}" marked REGEX "mark\\.${marker}")
      if(NOT marked)
        continue()
      endif()
      set(select -m "${marker}")
    endif()

    get_filename_component(name "${file}" NAME_WE)
    string(REGEX REPLACE "^test_" "" name "${name}")
    set(test "${label}/${name}")
    add_test(NAME "${test}"
      COMMAND "${PARLANCE_PYTHON}" -B -m pytest -p no:cacheprovider -q -rs ${select} "${file}"
      WORKING_DIRECTORY "${folder}")
    set_tests_properties("${test}" PROPERTIES LABELS "${label}" TIMEOUT 300
      ENVIRONMENT "PARLANCE_BIN_DIR=${PROJECT_BINARY_DIR}/bin;PARLANCE_SANITIZE=${PARLANCE_SANITIZE}")

    file(STRINGS "${file}" directives REGEX "^# ctest: ")
    foreach(directive IN LISTS directives)
      string(REGEX MATCHALL "[A-Z_]+=[^ ]+" pairs "${directive}")
      foreach(pair IN LISTS pairs)
        string(REGEX MATCH "^([A-Z_]+)=(.*)$" _ "${pair}")
        set_tests_properties("${test}" PROPERTIES ${CMAKE_MATCH_1} "${CMAKE_MATCH_2}")
      endforeach()
    endforeach()
  endforeach()
endfunction()
