"""The C++ sources under src/, their includes, and the layer table of src/README.md."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SRC = REPOSITORY / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
ROW = re.compile(r"^\| `([a-z/]+)/` \|.*\|([^|]*)\|$", re.MULTILINE)


def sources() -> list[Path]:
    """Every .h and .cc of ours, relative to src/."""
    return sorted(f.relative_to(SRC) for f in SRC.rglob("*") if f.suffix in (".h", ".cc"))


def includes(file: Path) -> list[Path]:
    """What `file` includes in quotes; by the house rule all of it is written from src/."""
    return [Path(name) for name in INCLUDE.findall((SRC / file).read_text())]


def layer_table() -> dict[str, set[str]]:
    """Layer -> layers it may include, itself excepted: {"net": {"base"}, ...}."""
    rows = ROW.findall((SRC / "README.md").read_text())
    return {name: set(re.findall(r"`([a-z/]+)/`", allowed)) for name, allowed in rows}


def layer_of(file: Path, layers) -> str | None:
    """The most specific layer that `file` lies in ("store/core" before "store")."""
    candidates = [name for name in layers if file.is_relative_to(name)]
    return max(candidates, key=len, default=None)
