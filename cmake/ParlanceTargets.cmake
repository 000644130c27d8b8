# One function per kind of target, so that each folder's CMakeLists.txt is a list of files and links.

# Sanitizers to build with, as -fsanitize takes them; empty for none. The presets set it.
set(PARLANCE_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined")

# Warnings, language, include root and sanitizers, the same for every target of the project.
add_library(parlance_options INTERFACE)
target_compile_features(parlance_options INTERFACE cxx_std_20)
target_include_directories(parlance_options INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(parlance_options INTERFACE -Wall -Wextra -Werror -Wno-psabi)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(parlance_options INTERFACE -Wthread-safety)
  # Clang 14 implements coroutines but does not say so, and libstdc++ asks.
  target_compile_definitions(parlance_options INTERFACE __cpp_impl_coroutine=201902L)
endif()

# The allocator of the programs: jemalloc, except under a sanitizer, which brings its own.
add_library(parlance_allocator INTERFACE)

if(PARLANCE_SANITIZE)
  # Recoverable, because run-time suppressions do not reach checks that can't recover;
  # cmake/sanitizer_defaults.cpp makes every report that is not suppressed end the program.
  target_compile_options(parlance_options INTERFACE
    -fsanitize=${PARLANCE_SANITIZE} -fsanitize-recover=undefined -fno-omit-frame-pointer)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ 12 sees uninitialised values in the standard library that only the instrumentation makes.
    target_compile_options(parlance_options INTERFACE -Wno-maybe-uninitialized)
    # Asio's fences are not modelled by the thread sanitizer, which g++ says at every use.
    if(PARLANCE_SANITIZE MATCHES "thread")
      target_compile_options(parlance_options INTERFACE -Wno-tsan)
    endif()
  endif()
  target_link_options(parlance_options INTERFACE -fsanitize=${PARLANCE_SANITIZE})
  add_library(parlance_sanitizer_defaults OBJECT "${CMAKE_CURRENT_LIST_DIR}/sanitizer_defaults.cpp")
  target_compile_definitions(parlance_sanitizer_defaults PRIVATE
    PARLANCE_UBSAN_SUPPRESSIONS="${CMAKE_CURRENT_LIST_DIR}/ubsan.supp"
    PARLANCE_TSAN_SUPPRESSIONS="${CMAKE_CURRENT_LIST_DIR}/tsan.supp")
  # Through the allocator, which is what every program of the project links.
  target_sources(parlance_allocator INTERFACE $<TARGET_OBJECTS:parlance_sanitizer_defaults>)
else()
  target_link_libraries(parlance_allocator INTERFACE PkgConfig::jemalloc)
endif()

# Everything that parlance_program makes: what a release build is for.
add_custom_target(programs)

# parlance_library(<folder> SOURCES <files> [LINK <public>] [PRIVATE <walled libraries>])
# Makes the static library parlance_<folder>.
function(parlance_library folder)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE" ${ARGN})
  add_library(parlance_${folder} STATIC ${ARG_SOURCES})
  target_link_libraries(parlance_${folder} PUBLIC parlance_options ${ARG_LINK} PRIVATE ${ARG_PRIVATE})
endfunction()

# parlance_program(<name> SOURCES <files> [LINK <libraries>])
# Makes an executable in <build>/bin, with the programs' allocator.
function(parlance_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE parlance_options ${ARG_LINK} parlance_allocator)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  add_dependencies(programs ${name})
endfunction()

# parlance_embed(<folder> <name> FILES <files>)
# Puts files into parlance_<folder>; `std::span<const EmbeddedFile> parlance::<folder>::<name>()`, for
# the folder to declare, has them in this order. Files that the build makes must be made by a rule
# of the same CMakeLists.txt.
function(parlance_embed folder name)
  cmake_parse_arguments(ARG "" "" "FILES" ${ARGN})
  set(number 0)
  foreach(file IN LISTS ARG_FILES)
    get_filename_component(file_name "${file}" NAME)
    set(symbol "parlance_${folder}_${name}_${number}")
    string(APPEND bytes ".global ${symbol}\n${symbol}:\n.incbin \"${file}\"\n.global ${symbol}_end\n${symbol}_end:\n")
    string(APPEND symbols "extern \"C\" const char ${symbol}[];\nextern \"C\" const char ${symbol}_end[];\n")
    string(APPEND entries
      "    {\"${file_name}\", {${symbol}, static_cast<std::size_t>(${symbol}_end - ${symbol})}},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  set(source "${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp")
  file(CONFIGURE OUTPUT "${source}" @ONLY CONTENT [[
#include <cstddef>
#include <span>

#include "base/embedded_file.h"

asm(R"(.section .rodata
@bytes@.previous
)");
@symbols@
namespace parlance::@folder@ {

std::span<const EmbeddedFile> @name@();
std::span<const EmbeddedFile> @name@() {
  static const EmbeddedFile files[] = {
@entries@  };
  return files;
}

}  // namespace parlance::@folder@
]])
  set_source_files_properties("${source}" PROPERTIES OBJECT_DEPENDS "${ARG_FILES}")
  target_sources(parlance_${folder} PRIVATE "${source}")
endfunction()
