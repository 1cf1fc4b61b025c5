"""A Python environment for each system that ours is compared with, in the cache and outside the clone's own one."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
INSTALL_SECONDS = 600


class Unavailable(Exception):
    """Why a system cannot be measured here, in a line."""


def last_words(text: str) -> str:
    """The last line of what a process printed as errors; of a Python one, its exception, whatever came after that."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    exceptions = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (exceptions or lines or ["it said nothing"])[-1]


def cache_folder() -> Path:
    """As tools/llama/cache.sh has it."""
    if chosen := os.environ.get("MOONCAKE_CACHE_DIR"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mooncake"


def versions(requirements: Path) -> list[str]:
    """"nixl-cu12==1.5.1", as they are pinned."""
    return [line for line in requirements.read_text().splitlines() if line and not line.startswith("#")]


def python_of(system: str) -> Path:
    """The interpreter of the environment that SYSTEM.txt describes, which is made if it is not there. Unavailable with
    pip's last words if it cannot be."""
    requirements = HERE / f"{system}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = cache_folder() / "peers" / f"{system}-{digest}"
    python = folder / "bin/python"
    if (folder / ".installed").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    # Debian's own interpreter, as for .venv (tools/setup).
    interpreter = "/usr/bin/python3"
    for command in ([interpreter, "-m", "venv", folder],
                    [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", requirements]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"it does not install: {error}") from error
        if done.returncode != 0:
            raise Unavailable(f"it does not install: {last_words(done.stderr)}")
    (folder / ".installed").touch()
    return python
