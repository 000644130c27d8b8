# shellcheck shell=bash
# Shared by the scripts of this folder; sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Where Debian's interpreters and compilers are found first, whatever else a machine has.
export PATH="/usr/bin:/bin:$PATH"

say() { printf '\n== %s\n' "$*" >&2; }

# How many compilers at once: one per core, but no more than memory carries (the largest files
# take about 2 GiB). PARLANCE_JOBS overrides it.
compilers() {
  local cores memory_gib
  if [[ -n ${PARLANCE_JOBS:-} ]]; then
    echo "$PARLANCE_JOBS"
    return
  fi
  cores=$(nproc)
  memory_gib=$(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
  local by_memory=$((memory_gib / 2))
  ((by_memory >= 1)) || by_memory=1
  echo $((cores < by_memory ? cores : by_memory))
}

# build PRESET TARGET...: configures when nothing is configured yet or the presets changed (ninja
# itself sees changed CMake files), then builds.
build() {
  local preset=$1 folder="$root/build/$1" told
  shift
  if [[ ! -f $folder/build.ninja || $root/CMakePresets.json -nt $folder/CMakeCache.txt ]]; then
    say "configuring build/$preset"
    told=$(cd "$root" && cmake --preset "$preset" 2>&1) || {
      printf '%s\n' "$told" >&2
      return 1
    }
    touch "$folder/CMakeCache.txt"
  fi
  # Compiled files are the same wherever a checkout lies, so that a second clone finds them cached.
  export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
  say "building build/$preset ($(compilers) at a time)"
  cmake --build "$folder" -j "$(compilers)" --target "$@"
}
