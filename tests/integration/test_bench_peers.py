"""`make bench-peers`, without the systems that it compares with: what of it must not go wrong unseen."""

import os
import subprocess
import sys

import pytest

from cluster import REPOSITORY

PEERS = REPOSITORY / "bench/peers"
sys.path.append(str(PEERS))

import environments  # noqa: E402
import moving  # noqa: E402


class Copying:
    """A system of one process: the server's memory is a list that several of them share."""

    def __init__(self, there: bytearray) -> None:
        self.here = bytearray(moving.BYTES)
        self.there = there

    def fill(self, content: bytes) -> None:
        self.here[:] = content

    def content(self) -> bytes:
        return bytes(self.here)

    def batch(self, write: bool, block_bytes: int, blocks: int):
        source, target = (self.here, self.there) if write else (self.there, self.here)

        def once() -> None:
            target[:block_bytes * blocks] = source[:block_bytes * blocks]

        return once


class Idle(Copying):
    def batch(self, write: bool, block_bytes: int, blocks: int):
        return lambda: None


class WritesNothing(Copying):
    def batch(self, write: bool, block_bytes: int, blocks: int):
        return (lambda: None) if write else super().batch(write, block_bytes, blocks)


def measure(system: type, write: bool) -> dict:
    mover = moving.Mover(system(bytearray(moving.noise(1))), os.getpid())
    return mover.measure(write=write, block_bytes=65536, blocks=32, seconds=0.01)


@pytest.mark.parametrize("write", [False, True])
def test_whoever_moves_the_bytes_is_measured(write):
    measured = measure(Copying, write)
    assert measured["gb_per_s"] > 0 and measured["cpu_s_per_gb"] >= 0


@pytest.mark.parametrize("system, write", [(Idle, False), (Idle, True), (WritesNothing, True)])
def test_nobody_is_measured_for_moving_nothing(system, write):
    with pytest.raises(RuntimeError, match="the bytes that"):
        measure(system, write)


def test_last_words_are_the_exception_whatever_is_logged_after_it():
    traceback = "Traceback (most recent call last):\n  File ...\nRuntimeError: no such device\nI1123 goodbye\n"
    assert environments.last_words(traceback) == "RuntimeError: no such device"
    assert environments.last_words("one\n two \n\n") == "two"
    assert environments.last_words("\n") == "it said nothing"


def test_what_does_not_install_is_skipped_with_the_reason(tmp_path):
    env = os.environ | {"MOONCAKE_CACHE_DIR": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run([str(PEERS / "compare"), "--rounds", "1", "--seconds", "0.01", "--json", str(tmp_path / "report")],
                          capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 1, done.stderr
    for line in ("Mooncake wheel, tcp", "NIXL, UCX, tcp", "NIXL, UCX, shm"):
        assert f"{line}: not measured: it does not install: ERROR: No matching distribution found" in done.stdout, done
