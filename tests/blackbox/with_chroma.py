"""Runs a command beside a Chroma of its own: with_chroma.py COMMAND [ARGUMENT]...

The command finds the server's URL in PARLANCE_TEST_CHROMA. Ends with the command's exit code."""

import subprocess
import sys
import tempfile

import harness

TIMEOUT = 240


def main():
    with tempfile.TemporaryDirectory() as folder:
        chroma = harness.Chroma(folder).start()
        try:
            environment = harness.clean_environment()
            environment["PARLANCE_TEST_CHROMA"] = chroma.url
            return subprocess.run(sys.argv[1:], env=environment, timeout=TIMEOUT).returncode
        finally:
            chroma.end()


if __name__ == "__main__":
    sys.exit(main())
