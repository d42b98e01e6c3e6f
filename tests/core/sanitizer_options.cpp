// AddressSanitizer ends the program when an allocation is impossible; here it must fail as it does without it.
extern "C" const char* __asan_default_options();  // NOLINT(bugprone-reserved-identifier): the sanitizer's own name
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}  // NOLINT(bugprone-reserved-identifier)
