#!/usr/bin/python3
"""Makes the pages that the server has for people, as a source file of the server.

Usage: build_web.py OUT_FOLDER

Vite builds web/ with the packages that scripts/setup_npm installed. OUT_FOLDER/web_files.cpp has
every file that came of it, as it is and gzipped: in this way their names may have hashes in them
that only the build knows. The same input gives the same bytes. Fails where the types are wrong, or
where what a browser loads first is larger than it may be.
"""

import gzip
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
SECONDS_MAX = 600
# Of compressed script and style, of those files that a page names; the rest is loaded when wanted.
FIRST_LOAD_BYTES_MAX = 150_000

# What is compressed already.
PACKED = {".woff2", ".png", ".webp"}

SOURCE = """// Made by scripts/build_web.py.
#include <cstddef>
#include <span>

#include "base/embedded_file.h"

asm(R"(.section .rodata
{bytes}.previous
)");
{symbols}
namespace parlance::net {{

std::span<const EmbeddedFile> web_files();
std::span<const EmbeddedFile> web_files() {{
  static const EmbeddedFile files[] = {{
{entries}  }};
  return files;
}}

}}  // namespace parlance::net
"""


def run(out, *command):
    environment = os.environ | {
        "PATH": f"/usr/bin:/bin:{os.environ.get('PATH', '')}",
        "PARLANCE_WEB_OUT": str(out / "dist"),
        "NODE_ENV": "production",
    }
    ran = subprocess.run(["node", *command], cwd=WEB, env=environment, stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=SECONDS_MAX)
    if ran.returncode != 0:
        sys.exit(f"build_web: {' '.join(command)} failed\n{ran.stdout}{ran.stderr}")


def check_first_load(folder):
    """Ends the build where a page at once asks for more than it may."""
    for page in sorted(folder.glob("*.html")):
        named = set(re.findall(r"/assets/[^\"]+\.(?:js|css)", page.read_text()))
        size = sum(len(gzip.compress((folder / name.lstrip("/")).read_bytes(), 9)) for name in named)
        if not named or size > FIRST_LOAD_BYTES_MAX:
            sys.exit(f"build_web: {page.name} first loads {size} bytes of compressed script and style "
                     f"from {len(named)} files; it may load {FIRST_LOAD_BYTES_MAX}")


def source_of(files):
    bytes_, symbols, entries = [], [], []
    for number, file in enumerate(files):
        symbol = f"parlance_net_web_file_{number}"
        bytes_.append(f'.global {symbol}\n{symbol}:\n.incbin "{file}"\n'
                      f".global {symbol}_end\n{symbol}_end:\n")
        symbols.append(f'extern "C" const char {symbol}[];\nextern "C" const char {symbol}_end[];\n')
        entries.append(f'      {{"{file.name}", {{{symbol}, '
                       f"static_cast<std::size_t>({symbol}_end - {symbol})}}}},\n")
    return SOURCE.format(bytes="".join(bytes_), symbols="".join(symbols),
                         entries="".join(entries))


def main(out):
    run(out, "node_modules/typescript/bin/tsc", "--noEmit")
    run(out, "node_modules/vite/bin/vite.js", "build", "--logLevel", "warn")
    check_first_load(out / "dist")
    files = []
    for file in sorted(path for path in (out / "dist").rglob("*") if path.is_file()):
        files.append(file)
        if file.suffix in PACKED:
            continue
        packed = file.with_name(f"{file.name}.gz")
        packed.write_bytes(gzip.compress(file.read_bytes(), 9, mtime=0))
        files.append(packed)
    names = [file.name for file in files]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        sys.exit(f"build_web: two files of one name: {', '.join(sorted(twice))}")
    (out / "web_files.cpp").write_text(source_of(files))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]).resolve())
