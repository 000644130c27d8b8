# The rules of the house as tests.
set(scripts "${PROJECT_SOURCE_DIR}/scripts")
add_test(NAME checks/format COMMAND "${scripts}/format")
add_test(NAME checks/layers COMMAND "${scripts}/check_layers.py")
add_test(NAME checks/layers_self_test COMMAND "${scripts}/check_layers.py" --self-test)
add_test(NAME checks/shell COMMAND "${scripts}/check_shell")
add_test(NAME checks/lint_changed COMMAND "${scripts}/lint" --changed --budget 900)
set_tests_properties(checks/format checks/layers checks/layers_self_test checks/shell
  PROPERTIES LABELS checks TIMEOUT 60)
set_tests_properties(checks/lint_changed PROPERTIES LABELS checks TIMEOUT 1200 PROCESSORS 2 COST 1000)
