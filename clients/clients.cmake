# The client SDKs against this tree's programs. Included by tests/CMakeLists.txt.
set(clients "${PROJECT_SOURCE_DIR}/clients")

foreach(part stack chat)
  add_test(NAME clients/python_${part}
    COMMAND "${PARLANCE_PYTHON}" -B -m pytest -p no:cacheprovider -q "tests/test_${part}.py"
    WORKING_DIRECTORY "${clients}/python")
endforeach()

foreach(part stack chat stream_connection)
  add_test(NAME clients/typescript_${part}
    COMMAND node --test "tests/${part}.test.mjs"
    WORKING_DIRECTORY "${clients}/typescript")
  set_tests_properties(clients/typescript_${part} PROPERTIES FIXTURES_REQUIRED typescript_client)
endforeach()

add_test(NAME clients/typescript_build COMMAND tsc -p tsconfig.json
  WORKING_DIRECTORY "${clients}/typescript")
set_tests_properties(clients/typescript_build PROPERTIES FIXTURES_SETUP typescript_client)
# The examples, as programs that use the types.
add_test(NAME clients/typescript_types COMMAND tsc -p tsconfig.check.json
  WORKING_DIRECTORY "${clients}/typescript")
set_tests_properties(clients/typescript_types PROPERTIES FIXTURES_REQUIRED typescript_client)

set_tests_properties(clients/python_stack clients/python_chat clients/typescript_stack
  clients/typescript_chat clients/typescript_stream_connection clients/typescript_build clients/typescript_types
  PROPERTIES LABELS clients TIMEOUT 300 ENVIRONMENT "PARLANCE_BIN_DIR=${PROJECT_BINARY_DIR}/bin")
