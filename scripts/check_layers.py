#!/usr/bin/python3
"""Checks every #include against the law in docs/architecture.md.

The law is the fenced block ```layers of that page, one rule per line:

    folder ...: what it may include       a folder, a path pattern such as */options.h, or *
    walls: library=place,place ...        where that library alone may be included; * is everywhere
    exempt: folder ...                    folders that no wall binds

A library is the start of its include path (caf for <caf/all.hpp>, muParser for <muParser.h>); the
longest match counts. A place is a folder or a path pattern. Libraries without a wall are refused,
so that a new one is decided on.

Usage: check_layers.py [--root DIR] | --self-test
"""

import argparse
import fnmatch
import pathlib
import re
import sys
import tempfile
import unittest

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
BLOCK = re.compile(r"^```layers\n(.*?)^```", re.DOTALL | re.MULTILINE)
SUFFIXES = {".h", ".cpp"}
# Folders of <...> headers that belong to the system, not to a library.
SYSTEM_FOLDERS = {"sys", "netinet", "arpa", "linux", "net", "asm", "bits", "sanitizer"}


class Law:
    """The parsed block: `allowed` folder -> patterns, `walls` library -> places."""

    def __init__(self, text):
        self.allowed, self.walls, self.exempt = {}, {}, set()
        for line in text.splitlines():
            line = line.split("#", 1)[0].strip()
            if not line:
                continue
            if ":" not in line:
                raise ValueError(f"not a rule: {line!r}")
            left, right = (part.split() for part in line.split(":", 1))
            if left == ["walls"]:
                for wall in right:
                    library, _, places = wall.partition("=")
                    if not places:
                        raise ValueError(f"a wall without a place: {wall!r}")
                    self.walls[library] = places.split(",")
            elif left == ["exempt"]:
                self.exempt.update(right)
            else:
                for folder in left:
                    if folder in self.allowed:
                        raise ValueError(f"two rules for {folder}")
                    self.allowed[folder] = right

    def may_include(self, folder, target):
        """Whether a file in `folder` may include the project file `target`."""
        target_folder = target.split("/", 1)[0]
        return target_folder == folder or any(
            pattern == target_folder or fnmatch.fnmatchcase(target, pattern)
            for pattern in self.allowed[folder]
        )

    def wall_of(self, include):
        """The library that `include` belongs to, or None."""
        fits = [
            library
            for library in self.walls
            if include.startswith(library) and re.match(r"$|[/.\-]", include[len(library) :])
        ]
        return max(fits, key=len, default=None)

    def inside_wall(self, library, path):
        folder = path.split("/", 1)[0]
        return folder in self.exempt or any(
            place == folder or fnmatch.fnmatchcase(path, place) for place in self.walls[library]
        )


def read_law(page):
    block = BLOCK.search(page.read_text(encoding="utf-8"))
    if not block:
        raise ValueError(f"{page} has no ```layers block")
    return Law(block.group(1))


def find_cycle(edges):
    """A list of folders that includes itself in a circle, or None."""
    done = set()

    def visit(folder, trail):
        if folder in trail:
            return trail[trail.index(folder) :] + [folder]
        if folder in done:
            return None
        for following in sorted(edges.get(folder, ())):
            cycle = visit(following, trail + [folder])
            if cycle:
                return cycle
        done.add(folder)
        return None

    for folder in sorted(edges):
        cycle = visit(folder, [])
        if cycle:
            return cycle
    return None


def problem_with(law, root, path, bracket, include):
    """What is wrong with one include of the file `path`, or None."""
    folder, first = path.split("/", 1)[0], include.split("/", 1)[0]
    if ".." in include.split("/"):
        return "`..` in an include; write the full path from the root"
    if "/" in include and first in law.allowed and (bracket == '"' or (root / include).is_file()):
        if bracket == "<":
            return "a project header is included in quotes"
        if not (root / include).is_file():
            return "no such file; write the full path from the root"
        if not law.may_include(folder, include):
            return f"{folder}/ may include: {' '.join(law.allowed[folder]) or 'nothing'}"
        return None

    library = law.wall_of(include)
    if library is None:
        if bracket == '"':
            return "not a path from the root"
        if "/" in include and first not in SYSTEM_FOLDERS:
            return "a library without a wall; give it one in docs/architecture.md"
        return None
    if bracket == '"':
        return "a library header is included in <>"
    if not law.inside_wall(library, path):
        return f"{library} stays in: {' '.join(law.walls[library])}"
    return None


def check(root):
    """All breaches in the tree under `root`, one line each."""
    law = read_law(root / "docs" / "architecture.md")
    problems, edges = [], {}
    for folder in sorted(law.allowed):
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in SUFFIXES:
                continue
            path = file.relative_to(root).as_posix()
            text = file.read_text(encoding="utf-8")
            text = COMMENT.sub(lambda comment: "\n" * comment.group().count("\n"), text)
            for match in INCLUDE.finditer(text):
                bracket, include = match.groups()
                target = include.split("/", 1)[0]
                if bracket == '"' and "/" in include and target in law.allowed and target != folder:
                    edges.setdefault(folder, set()).add(target)
                problem = problem_with(law, root, path, bracket, include)
                if problem:
                    line = text.count("\n", 0, match.start()) + 1
                    problems.append(f"{path}:{line}: {include}: {problem}")
    cycle = find_cycle(edges)
    if cycle:
        problems.append("folders include each other in a circle: " + " -> ".join(cycle))
    return problems


class SelfTest(unittest.TestCase):
    LAW = """text
```layers
base:
schemas: base
actors: schemas base
net: actors/door.h schemas base
config: */options.h base
app tests: *
walls: caf=actors boost/asio=net,actors/core.* boost=* rapidjson=*.cpp,base/json.h muParser=net libpq=actors
exempt: tests
```
"""

    def breaches(self, **files):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            tree = {"docs/architecture.md": self.LAW, "base/a.h": "", "schemas/a.h": "", "actors/door.h": "",
                    "actors/inner.h": "", "net/options.h": "", "tests/a.h": ""}
            tree.update({name.replace("__", "/").replace("_h", ".h").replace("_cpp", ".cpp"): text
                         for name, text in files.items()})
            for name, text in tree.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return check(root)

    def refused(self, reason, **files):
        breaches = self.breaches(**files)
        self.assertEqual(len(breaches), 1, breaches)
        self.assertIn(reason, breaches[0])

    def test_what_the_law_allows(self):
        self.assertEqual(self.breaches(
            net__a_cpp='#include <vector>\n#include <sys/socket.h>\n#include <unistd.h>\n#include <boost/asio/post.hpp>\n'
                       '#include <rapidjson/reader.h>\n#include <muParser.h>\n#include "actors/door.h"\n#include "base/a.h"\n',
            config__a_cpp='#include "net/options.h"\n',
            actors__core_cpp="#include <boost/asio.hpp>\n#include <caf/all.hpp>\n",
            base__json_h="#include <rapidjson/document.h>\n#include <boost/system/result.hpp>\n",
            tests__t_cpp='#include <caf/all.hpp>\n#include "actors/inner.h"\n#include "tests/a.h"\n'), [])

    def test_what_it_refuses(self):
        self.refused("schemas/ may include: base", schemas__b_h='#include "actors/door.h"\n')
        self.refused("net/ may include", net__a_h='#include "actors/inner.h"\n')
        self.refused("base/ may include: nothing", base__b_h='  #  include "schemas/a.h"\n')
        self.refused("`..`", net__a_h='#include "../base/a.h"\n')
        self.refused("`..`", tests__t_cpp='#include "../base/a.h"\n')
        self.refused("not a path from the root", base__b_h='#include "a.h"\n')
        self.refused("not a path from the root", tests__t_cpp='#include "support/a.h"\n')
        self.refused("no such file", net__a_h='#include "base/missing.h"\n')
        self.refused("in quotes", net__a_h="#include <base/a.h>\n")
        self.refused("caf stays in: actors", net__a_h="#include <caf/all.hpp>\n")
        self.refused("in <>", actors__a_h='#include "caf/all.hpp"\n')
        self.refused("libpq stays in", net__a_h="#include <libpq-fe.h>\n")
        self.refused("boost/asio stays in", actors__other_cpp="#include <boost/asio.hpp>\n")
        self.refused("rapidjson stays in", base__b_h="#include <rapidjson/reader.h>\n")
        self.refused("a library without a wall", net__a_h="#include <absl/strings/cord.h>\n")

    def test_line_numbers_survive_comments(self):
        self.refused("net/a.h:4:", net__a_h='/* #include "x.h"\n\n*/ // #include "y.h"\n#include <caf/all.hpp>\n')

    def test_a_circle_of_folders(self):
        breaches = self.breaches(net__options_h='#include "config/a.h"\n', config__a_h='#include "net/options.h"\n')
        self.assertTrue(any("config -> net -> config" in breach for breach in breaches), breaches)


def main():
    parser = argparse.ArgumentParser(description="Checks every #include against docs/architecture.md.")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        unittest.main(argv=[sys.argv[0]])
    try:
        problems = check(options.root)
    except (OSError, ValueError) as error:
        sys.exit(f"check_layers: {error}")
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
