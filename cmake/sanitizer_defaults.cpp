// Options that every sanitized program of the project starts with, so that they hold wherever it is
// started from. The *SAN_OPTIONS variables of the environment still override them.

// The sanitizers look for these names.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" {

const char* __asan_default_options() {
  return "detect_stack_use_after_return=1:strict_string_checks=1";
}

const char* __ubsan_default_options() {
  return "halt_on_error=1:print_stacktrace=1:suppressions=" PARLANCE_UBSAN_SUPPRESSIONS;
}

const char* __tsan_default_options() {
  return "halt_on_error=1:second_deadlock_stack=1:suppressions=" PARLANCE_TSAN_SUPPRESSIONS;
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
