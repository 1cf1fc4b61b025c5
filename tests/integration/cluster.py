"""A whole cluster as a user starts it: `mooncake up` in a run directory, real processes, real sockets.

`Cluster` is a context manager. On leaving it the cluster gets SIGTERM and must end with status 0 within ten seconds and
leave no process behind; a test that leaks one fails here.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Callable, Optional

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("MOONCAKE_BINARY", REPOSITORY / "build/release/bin/mooncake"))
#: Sanitized binaries are several times slower: waits get longer, figures are not judged (marker `figure`).
SLOWDOWN = float(os.environ.get("MOONCAKE_SLOWDOWN", "1"))
STOP_SECONDS = 10


def wait_until(condition: Callable[[], object], seconds: float, what: str):
    """Polls until `condition` returns something true, and returns that; fails after `seconds` times SLOWDOWN."""
    deadline = time.monotonic() + seconds * SLOWDOWN
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * SLOWDOWN:.0f} s: {what}")
        pause.wait(0.01)


def alive(pid: int) -> bool:
    """Whether `pid` is a running process; a zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


class Cluster:
    """One `mooncake up`. Arguments are its flags, without --run-dir and --http, which are chosen here."""

    def __init__(self, run_dir: Path, *flags: str, http: str = "127.0.0.1:0"):
        self.run_dir = Path(run_dir)
        self.command = [str(BINARY), "up", "--http", http, "--run-dir", str(run_dir), *flags]
        self.process: Optional[subprocess.Popen] = None
        self.ready_seconds = 0.0

    def __enter__(self) -> "Cluster":
        started = time.monotonic()
        self.output = open(f"{self.run_dir}.out", "w+")
        self.process = subprocess.Popen(self.command, stdout=self.output, stderr=subprocess.STDOUT, start_new_session=True)
        wait_until(lambda: self.file.exists() or self.process.poll() is not None, 60, "cluster.json")
        if not self.file.exists():
            raise AssertionError(f"up ended with {self.process.returncode}: {self.printed()}")
        self.ready_seconds = time.monotonic() - started
        return self

    def __exit__(self, kind, *_):
        pids = [p["pid"] for p in self.read()["processes"]] if self.file.exists() else []
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                status = self.process.wait(STOP_SECONDS * SLOWDOWN)
                if kind is None:
                    assert status == 0, f"up ended with {status} on SIGTERM: {self.printed()}"
            wait_until(lambda: not any(alive(pid) for pid in pids), STOP_SECONDS, "children of up end with it")
        finally:
            for pid in [self.process.pid, *pids]:
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            self.output.close()
            if kind is not None:
                self.show_logs()

    @property
    def file(self) -> Path:
        return self.run_dir / "cluster.json"

    def read(self) -> dict:
        return json.loads(self.file.read_text())

    @property
    def url(self) -> str:
        return self.read()["url"]

    def processes(self, role: str) -> list[dict]:
        return [p for p in self.read()["processes"] if p["role"] == role]

    def process_named(self, name: str) -> dict:
        return next(p for p in self.read()["processes"] if p["name"] == name)

    def kill(self, name: str, signum: int = signal.SIGKILL) -> int:
        """Kills one process by name and returns the pid it had."""
        pid = self.process_named(name)["pid"]
        os.kill(pid, signum)
        return pid

    def await_restart(self, name: str, old_pid: int):
        def back():
            entry = next((p for p in self.read()["processes"] if p["name"] == name), None)
            return entry and entry["pid"] != old_pid and alive(entry["pid"])

        wait_until(back, 30, f"{name} is restarted")

    def await_instances_up(self, seconds: float = 30):
        """Until the gateway sees every worker of cluster.json."""
        names = {p["name"] for role in ("prefill", "decode") for p in self.processes(role)}

        def all_up():
            instances = self.get_json("/mooncake/cluster")["instances"]
            return names <= {i["name"] for i in instances if i["state"] == "up"}

        wait_until(all_up, seconds, "all workers are up at the gateway")

    def printed(self) -> str:
        self.output.flush()
        return Path(self.output.name).read_text()

    def show_logs(self):
        for log in sorted(self.run_dir.glob("logs/*")):
            lines = log.read_text(errors="replace").splitlines()
            print(f"--- {log.name} (last 25 of {len(lines)} lines)", *lines[-25:], sep="\n")

    # --- HTTP, plain: for tests of the protocol itself; real clients are used where a user would use them.

    def request(self, method: str, path: str, body: bytes | dict | None = None, headers: dict | None = None,
                timeout: float = 120):
        """Returns (status, headers with lower-case names, body bytes); error statuses are answers."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        request = urllib.request.Request(self.url + path, data=data, method=method,
                                         headers={"content-type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=timeout * SLOWDOWN) as answer:
                return answer.status, lower(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, lower(error.headers), error.read()

    def get_json(self, path: str):
        status, _, body = self.request("GET", path)
        assert status == 200, f"GET {path}: {status} {body[:300]!r}"
        return json.loads(body)

    def complete(self, prompt: str, max_tokens: int, **more) -> dict:
        """One plain /v1/completions answer, greedy. `headers` go to the request; the answer's headers to ["headers"]."""
        headers = more.pop("headers", {})
        body = {"model": self.model, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0, **more}
        status, got, answer = self.request("POST", "/v1/completions", body, headers)
        assert status == 200, f"{status} {answer[:500]!r}"
        return {**json.loads(answer), "headers": got}

    def decision(self, request_id: str) -> dict:
        """What the gateway remembers of a request: the body that `mooncake kv why` shows."""
        return self.get_json(f"/mooncake/decisions/{request_id}")

    @property
    def model(self) -> str:
        return self.get_json("/v1/models")["data"][0]["id"]

    def prefill_names(self) -> list[str]:
        return sorted(p["name"] for p in self.processes("prefill"))


def lower(headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def metric(text: str, name: str, **labels) -> float:
    """Sum of the samples of metric `name` whose labels include `labels`, from a Prometheus page."""
    total = 0.0
    for line in text.splitlines():
        found = re.match(rf"{name}(?:\{{(.*)\}})? ([-+.eE0-9]+)$", line)
        if found and all(f'{k}="{v}"' in (found[1] or "") for k, v in labels.items()):
            total += float(found[2])
    return total


def scrape(process: dict) -> str:
    """The metrics page of one entry of cluster.json."""
    with urllib.request.urlopen(process["metrics"], timeout=10 * SLOWDOWN) as answer:
        return answer.read().decode()


def handed_over(cluster: Cluster) -> tuple[float, float]:
    """Bytes that the transfer engines of prefill workers say they sent to decode workers, and that those received."""
    def total(process, name, peers):
        return sum(metric(scrape(process), name, peer=peer["name"]) for peer in peers)

    prefill, decode = cluster.processes("prefill"), cluster.processes("decode")
    return (sum(total(p, "mooncake_transfer_sent_bytes_total", decode) for p in prefill),
            sum(total(d, "mooncake_transfer_received_bytes_total", prefill) for d in decode))


def replay_decisions(log: Path, *flags: str) -> subprocess.CompletedProcess:
    """`mooncake sim replay-decisions` on a gateway's decision log."""
    return subprocess.run([str(BINARY), "sim", "replay-decisions", str(log), *flags], capture_output=True, text=True,
                          timeout=60 * SLOWDOWN)


def reusable_tokens(shared: int, prompt: int, block: int = 64) -> int:
    """How many of `prompt` tokens a worker reuses when whole blocks of the first `shared` are cached: it computes at
    least the last 64 itself, because shorter chunks would give other bytes."""
    return max(0, min(shared // block * block, prompt - 64))


def cached_tokens(answer: dict) -> int:
    return answer["usage"]["prompt_tokens_details"]["cached_tokens"]
