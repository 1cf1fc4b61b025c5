"""Every header compiles alone, so that whoever includes it needs to know nothing else.

The build shows it of a header that its own .cc, or its test, includes before anything else. The others are compiled here.
"""

import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from source_tree import REPOSITORY, SRC, sources

COMMANDS = REPOSITORY / "build/release/compile_commands.json"
STUBS = REPOSITORY / "build/headers"


def include_flags() -> list[str]:
    """The include folders and definitions of all of our files together, from the build."""
    flags = {}
    for entry in json.loads(COMMANDS.read_text()):
        if not Path(entry["file"]).is_relative_to(SRC):
            continue
        words = iter(shlex.split(entry["command"]))
        for word in words:
            if word in ("-I", "-isystem"):
                flags[(word, next(words))] = None
            elif re.match(r"-I.|-D(?!MOONCAKE)", word):
                flags[(word,)] = None
    return [word for flag in flags for word in flag]


def shown_by_the_build(header: Path) -> bool:
    """Does a source file of the same name include `header` first?"""
    for source in (header.with_suffix(".cc"), header.with_name(header.stem + "_test.cc")):
        if (SRC / source).exists():
            first = re.search(r'^#include (\S+)', (SRC / source).read_text(), re.MULTILINE)
            if first and first[1] == f'"{header}"':
                return True
    return False


def compile_alone(header: Path, flags: list[str]) -> str:
    """The compiler's complaint about a file that includes `header` twice and nothing else; empty if there is none."""
    stub = STUBS / (str(header).replace("/", "__") + ".cc")
    text = f'#include "{header}"\n#include "{header}"\n'
    if not stub.exists() or stub.read_text() != text:
        stub.write_text(text)
    # Through ccache, which knows -c but not -fsyntax-only: a second run takes a second.
    command = [*(["ccache"] if shutil.which("ccache") else []), "g++", "-std=c++20", "-O0", "-Wall", "-Wextra", "-Werror",
               *flags, "-c", str(stub), "-o", str(stub.with_suffix(".o"))]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CCACHE_NOHASHDIR": "1"})
    return f"{header}:\n{done.stderr[:2000]}" if done.returncode else ""


def test_headers_stand_alone():
    if not COMMANDS.exists():
        pytest.fail(f"{COMMANDS} is missing: run `make build` first")
    STUBS.mkdir(parents=True, exist_ok=True)
    flags = include_flags()
    headers = [f for f in sources() if f.suffix == ".h" and not shown_by_the_build(f)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        complaints = list(filter(None, pool.map(lambda header: compile_alone(header, flags), headers)))
    assert not complaints, "\n".join(complaints)


def test_headers_begin_with_what_they_are():
    for header in (f for f in sources() if f.suffix == ".h"):
        text = (SRC / header).read_text()
        assert text.startswith("// "), f"{header}: opens without saying what it is"
        assert "#pragma once" in text, f"{header}: no #pragma once"
