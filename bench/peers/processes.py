"""The two processes of each system, ours included, and a measurement of some cells between them."""

import json
import os
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from environments import HERE, Unavailable, last_words

BINARY = HERE.parents[1] / "build/release/bin/mooncake"
#: Starting, and more than any measurement takes beyond its time; then something hangs.
PATIENCE_SECONDS = 60
STOP_SECONDS = 5
CHECKED_BYTES = 32 << 20


@dataclass(frozen=True)
class Cell:
    op: str
    block_bytes: int
    batch: int


class Child:
    """A process that says and is told lines of JSON. Left, it is ended."""

    def __init__(self, *command, environment: dict[str, str] | None = None) -> None:
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True, env=os.environ | (environment or {}))

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_) -> None:
        self.process.stdin.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def tell(self, **fields) -> None:
        try:
            print(json.dumps(fields), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # what it said last is read next

    def hear(self, seconds: float = 0) -> dict:
        """Its next line, `seconds` and some patience from now at the latest. Unavailable with its last words."""
        watchdog = threading.Timer(seconds + PATIENCE_SECONDS, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if line:
            return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        raise Unavailable(f"it does not run: {last_words(self.errors.read())}")


class Wheel:
    """Another system: PROGRAM.py in its own environment (moving.py)."""

    def __init__(self, python: Path, program: str, environment: dict[str, str]) -> None:
        self.command = (python, HERE / f"{program}.py")
        self.environment = environment

    def measure(self, cells: list[Cell], seconds: float) -> list[dict]:
        with Child(*self.command, "serve", environment=self.environment) as server:
            address = json.dumps(server.hear())
            with Child(*self.command, "move", address, environment=self.environment) as client:
                return [self.measure_cell(client, cell, seconds) for cell in cells]

    @staticmethod
    def measure_cell(client: Child, cell: Cell, seconds: float) -> dict:
        client.tell(write=cell.op == "write", block_bytes=cell.block_bytes, blocks=cell.batch, seconds=seconds)
        return client.hear(seconds)


class Ours:
    """`mooncake transfer serve` and `mooncake transfer bench --peer`. If these fail, so does the whole comparison."""

    def __init__(self, transport: str) -> None:
        self.transport = transport

    def measure(self, cells: list[Cell], seconds: float) -> list[dict]:
        try:
            return self.measure_all(cells, seconds)
        except Unavailable as error:
            raise SystemExit(f"ours: {error}") from error

    def measure_all(self, cells: list[Cell], seconds: float) -> list[dict]:
        with Child(BINARY, "transfer", "serve", "--bytes", CHECKED_BYTES) as server:
            peer = ["--peer", server.hear()["endpoint"]]
            self.check(peer)
            blocks = ",".join(dict.fromkeys(str(cell.block_bytes) for cell in cells))
            batches = ",".join(dict.fromkeys(str(cell.batch) for cell in cells))
            report = json.loads(mooncake("transfer", "bench", *peer, "--transports", self.transport, "--block-bytes", blocks,
                                         "--batch", batches, "--threads", 1, "--seconds", seconds, "--json"))
        found = {Cell(row["op"], row["block_bytes"], row["batch"]): row for row in report["sweep"]}
        return [found[cell] for cell in cells]

    def check(self, peer: list[str]) -> None:
        """That it moves the bytes it says it moves: the others are asked for as much."""
        flags = [*peer, "--transport", "tcp" if self.transport == "tcp" else "auto"]
        with tempfile.TemporaryDirectory() as folder:
            written, read = Path(folder) / "written", Path(folder) / "read"
            written.write_bytes(os.urandom(CHECKED_BYTES))
            for line in (mooncake("transfer", "write", *flags, "--input", written),
                         mooncake("transfer", "read", *flags, "--length", CHECKED_BYTES, "--output", read)):
                if f"by {self.transport} " not in line:
                    raise Unavailable(f"its bytes do not go by {self.transport}: {line.strip()}")
            if written.read_bytes() != read.read_bytes():
                raise Unavailable("the bytes that were read are not those that were written")


def mooncake(*arguments) -> str:
    """What the command printed. Unavailable with its last words if it fails."""
    done = subprocess.run([str(BINARY), *map(str, arguments)], capture_output=True, text=True, timeout=10 * PATIENCE_SECONDS)
    if done.returncode != 0:
        raise Unavailable(f"it does not run: {last_words(done.stderr)}")
    return done.stdout
