"""What both processes of another system do here, whichever it is: one has 32 MiB of noise, the other moves blocks of it.

Runs in the system's own Python environment, so nothing but the standard library is imported. `run(System)` is the whole
program of either process, started by compare.py as

    PROGRAM serve                    says its address, and stays until standard input is closed
    PROGRAM move ADDRESS             reads cells from standard input, answers each with a measurement

Every line in either direction is one JSON object. Whatever the libraries print goes to standard error.
"""

import json
import os
import random
import sys
import time
from typing import Protocol

#: A batch of 32 blocks of 1 MiB, as `mooncake transfer bench` has it.
BYTES = 32 << 20
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class System(Protocol):
    """One process of a system, with BYTES of memory that peers may read and write. Any failure is an exception."""

    def address(self) -> dict:
        """What another process needs to reach this one, without its process id."""

    def connect(self, address: dict) -> None: ...

    def fill(self, content: bytes) -> None:
        """Puts BYTES into this process's memory."""

    def content(self) -> bytes:
        """The BYTES that are there."""

    def batch(self, write: bool, block_bytes: int, blocks: int):
        """A function that moves the first blocks of the memory here to (or from) the same place there, as one batch, and
        returns when it is done."""


def noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(BYTES)


def cpu_s(process: int) -> float:
    """User and system time of all threads of a process so far, to a hundredth of a second."""
    with open(f"/proc/{process}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


class Mover:
    """Measures cells, and checks after each that the bytes are where they belong."""

    def __init__(self, system: System, server: int) -> None:
        self.system = system
        self.processes = (os.getpid(), server)
        self.there = noise(1)  # what the server's memory must hold
        self.writes = 1

    def measure(self, write: bool, block_bytes: int, blocks: int, seconds: float) -> dict:
        size = block_bytes * blocks
        here = bytes(BYTES)
        if write:
            self.writes += 1
            here = noise(self.writes)
            self.there = here[:size] + self.there[size:]
        self.system.fill(here)
        result = self.repeat(self.system.batch(write, block_bytes, blocks), size, seconds)
        self.check(size)
        return result

    def repeat(self, batch, size: int, seconds: float) -> dict:
        batch()  # once unmeasured, so that connections and pages are there
        cpu_before = sum(map(cpu_s, self.processes))
        begin, batches = time.perf_counter(), 0
        while (took := time.perf_counter() - begin) < seconds:
            batch()
            batches += 1
        cpu = sum(map(cpu_s, self.processes)) - cpu_before
        return {"gb_per_s": batches * size / took / 1e9, "cpu_s_per_gb": cpu / (batches * size / 1e9)}

    def check(self, size: int) -> None:
        """After reads the bytes are here already; what was written is read back over other bytes."""
        if self.system.content()[:size] != self.there[:size]:
            raise RuntimeError("the bytes that arrived are not those that were sent")
        self.system.fill(bytes(BYTES))
        self.system.batch(False, BYTES // 32, 32)()
        if self.system.content() != self.there:
            raise RuntimeError("the bytes that the peer has are not those that it was sent")


def run(system_type: type) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(fields: dict) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    system = system_type()
    if sys.argv[1] == "serve":
        system.fill(noise(1))
        say({"process": os.getpid(), **system.address()})
        sys.stdin.read()
    else:
        address = json.loads(sys.argv[2])
        mover = Mover(system, address.pop("process"))
        system.connect(address)
        for line in sys.stdin:
            say(mover.measure(**json.loads(line)))
    os._exit(0)  # destructors of either library may wait for a peer that is gone
