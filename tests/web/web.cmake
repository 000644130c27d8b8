# The pages: what turns events into a transcript, and journeys in a real browser. Included by
# tests/CMakeLists.txt. The console's journey is among the black-box tests.
add_test(NAME web/page_units COMMAND node node_modules/vitest/vitest.mjs run
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}/web")
add_test(NAME web/chat_page COMMAND node --test tests/web/chat_page.test.mjs
  WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
set_tests_properties(web/page_units web/chat_page PROPERTIES LABELS web TIMEOUT 600
  ENVIRONMENT "PARLANCE_BIN_DIR=${PROJECT_BINARY_DIR}/bin")
# A browser beside other tests is slower than its waits allow.
set_tests_properties(web/chat_page PROPERTIES RUN_SERIAL TRUE)
