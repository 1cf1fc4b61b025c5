"""`mooncake transfer` and `mooncake bench transfer`: bytes between two processes, and the report of how fast."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager

import pytest

from cluster import BINARY, SLOWDOWN, alive

SEGMENT = 8 << 20
#: Ends in a second or two, and says nothing about any machine's speed.
TINY = ["--block-bytes", "4096,65536", "--batch", "2", "--threads", "1,2", "--seconds", "0.005", "--rounds", "2"]


def run(*arguments, env=None, seconds=120):
    return subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=seconds * SLOWDOWN,
                          env=os.environ | (env or {}))


def started(*flags) -> tuple[subprocess.Popen, dict]:
    process = subprocess.Popen([str(BINARY), "transfer", "serve", *flags], stdout=subprocess.PIPE, text=True)
    watchdog = threading.Timer(30 * SLOWDOWN, process.kill)
    watchdog.start()
    line = process.stdout.readline()
    watchdog.cancel()
    return process, json.loads(line)


@contextmanager
def serve(*flags):
    """A `transfer serve`, and what it said about itself."""
    process, said = started("--bytes", str(SEGMENT), *flags)
    try:
        yield said
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10 * SLOWDOWN) == 0, "it ends in order on SIGTERM"
        process.stdout.close()


@pytest.mark.parametrize("transport, flags", [("shm", []), ("tcp", ["--transport", "tcp"])])
def test_what_was_written_is_read_and_its_neighbours_are_untouched(tmp_path, transport, flags):
    written = tmp_path / "in"
    written.write_bytes(os.urandom(3_000_001))
    with serve() as server:
        assert server["bytes"] == SEGMENT and server["generation"] > 0
        peer = ["--peer", server["endpoint"], *flags]

        def read(offset, length):
            file = tmp_path / "out"
            done = run("transfer", "read", *peer, "--offset", str(offset), "--length", str(length), "--output", str(file))
            assert done.returncode == 0 and re.search(rf"read {length} bytes .* by {transport} in .* GB/s", done.stdout), done
            return file.read_bytes()

        before = read(0, SEGMENT)
        assert len(set(before)) == 256, "noise, so that a hole would show"
        done = run("transfer", "write", *peer, "--offset", "12345", "--input", str(written))
        assert done.returncode == 0 and f"wrote 3000001 bytes at offset 12345 by {transport}" in done.stdout, done
        end = 12345 + 3_000_001
        assert read(0, SEGMENT) == before[:12345] + written.read_bytes() + before[end:]
        assert read(SEGMENT - 1, 1) == before[-1:]


def test_the_same_seed_gives_the_same_segment_to_every_transport(tmp_path):
    read = []
    for flags, transport in ((["--seed", "7"], "auto"), (["--seed", "7"], "tcp"), (["--seed", "8"], "auto")):
        with serve(*flags) as server:
            done = run("transfer", "read", "--peer", server["endpoint"], "--transport", transport, "--output",
                       str(tmp_path / "out"))
            assert done.returncode == 0, done.stderr
            read.append((tmp_path / "out").read_bytes())
    assert read[0] == read[1] != read[2]


def test_what_cannot_be_says_why_and_ends_with_status_1(tmp_path):
    full, empty = tmp_path / "full", tmp_path / "empty"
    full.write_bytes(b"x" * 100)
    empty.touch()
    with serve() as server:
        peer = ["--peer", server["endpoint"]]
        beyond = ["--offset", str(SEGMENT - 99)]
        for words, reason in [
                (["read", *peer, *beyond, "--length", "100"], f"segment of {SEGMENT} bytes"),
                (["read", *peer, "--length", str(SEGMENT + 1)], f"segment of {SEGMENT} bytes"),
                (["read", *peer, "--offset", str(2**62), "--length", str(2**62)], f"segment of {SEGMENT} bytes"),
                (["read", *peer, "--length", "0"], "--length"),
                (["read", *peer, "--output", str(tmp_path / "no/such/folder")], "--output"),
                (["write", *peer, *beyond, "--input", str(full)], f"segment of {SEGMENT} bytes"),
                (["write", *peer, "--input", str(empty)], "0 bytes"),
                (["write", *peer, "--input", str(tmp_path / "absent")], "No such file"),
                (["write", *peer], "--input"),
                (["bench", *peer, "--transports", "tcp", "--block-bytes", str(SEGMENT), "--batch", "2"], "--bytes"),
                (["read", "--peer", "somewhere"], "HOST:PORT"),
                (["read"], "HOST:PORT"),
                (["bench", "--peer", "127.0.0.1:1"], "Connection refused")]:
            failed = run("transfer", *words)
            assert failed.returncode == 1 and reason in failed.stderr, (words, failed)
            assert not failed.stdout or "--output" in words, "nothing is reported that did not happen"
        assert run("transfer", "read", *peer).returncode == 0, "the server has survived all of it"
        refused = run("transfer", "serve", "--listen", server["endpoint"])
        assert refused.returncode == 1 and "in use" in refused.stderr, refused.stderr


def test_engine_of_another_kind_is_named_as_such():
    """A process of a cluster speaks the same protocol, and offers no segment."""
    master = subprocess.Popen([str(BINARY), "master", "--ready-fd", "1", "--log-level", "error"], stdout=subprocess.PIPE,
                              text=True)
    try:
        endpoint = json.loads(master.stdout.readline())["endpoint"]
        failed = run("transfer", "read", "--peer", endpoint)
        assert failed.returncode == 1 and endpoint in failed.stderr, failed.stderr
    finally:
        master.terminate()
        master.wait(10 * SLOWDOWN)
        master.stdout.close()


def test_bench_against_a_peer_sweeps_every_combination(tmp_path):
    file = tmp_path / "b.json"
    with serve() as server:
        done = run("transfer", "bench", "--peer", server["endpoint"], "--transports", "shm,tcp", *TINY[:-2],
                   "--json", str(file))
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert report["benchmark"] == "transfer sweep" and not report["targets"]
    cells = [(c["transport"], c["op"], c["block_bytes"], c["batch"], c["threads"]) for c in report["sweep"]]
    assert cells == [(transport, op, block, 2, threads) for transport in ("shm", "tcp") for block in (4096, 65536)
                     for threads in (1, 2) for op in ("read", "write")]
    for cell in report["sweep"]:
        assert cell["gb_per_s"] > 0 and cell["cpu_s_per_gb"] >= 0
        assert cell["operations_per_s"] * cell["block_bytes"] == pytest.approx(cell["gb_per_s"] * 1e9)
        assert 0 < cell["latency_us_p50"] <= cell["latency_us_p99"]


def test_bench_compares_with_its_baselines_and_leaves_nothing_running(tmp_path):
    """A stand-in prints what iperf3 would: 8 gigabits a second whatever the streams, but 16 with two of them."""
    fake = tmp_path / "bin"
    fake.mkdir()
    for tool in ("sleep", "sh", "echo"):
        (fake / tool).symlink_to(shutil.which(tool))
    (fake / "iperf3").write_text("""#!/bin/sh
case "$*" in *--server*) echo $$ > "$(dirname "$0")/pid"; exec sleep 600 ;; esac
case "$*" in *"--length 1M --parallel 2 "*) rate=16000000000 ;; *) rate=8000000000 ;; esac
echo '{"end": {"sum_received": {"bits_per_second": '$rate'},
               "cpu_utilization_percent": {"host_total": 60, "remote_total": 40}}}'
""".replace("$(dirname \"$0\")", str(fake)))
    (fake / "iperf3").chmod(0o755)
    file = tmp_path / "b.json"
    done = run("bench", "transfer", *TINY, "--json", str(file), env={"PATH": str(fake)})
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert report["benchmark"] == "transfer" and report["commit"] and {"cpu", "cores"} <= set(report["machine"])
    assert f"load average before: {report['settings']['load_before']}" in done.stdout
    assert {c["transport"] for c in report["sweep"]} == {"mem", "shm", "tcp"} and len(report["sweep"]) == 24

    targets = {(t["name"], t["baseline"]): t for t in report["targets"]}
    tcp = targets["tcp_write_1mib_gb_per_s", "iperf3_gb_per_s"]
    assert tcp["baseline_value"] == 2.0, "the best number of streams counts"
    assert tcp["ratio"] == pytest.approx(tcp["ours"] / 2.0) and len(tcp["ratios"]) == 2
    assert targets["tcp_read_1mib_cpu_s_per_gb", "iperf3_cpu_s_per_gb"]["baseline_value"] == 0.5
    for (name, baseline), target in targets.items():
        assert name in {row["name"] for row in report["rows"]}
        assert target["path"] in done.stdout and target["verdict"] in done.stdout
        if name.startswith(("file", "mac", "tls")):
            assert target["verdict"].startswith("not measured: ") and target["ours"] is None
        elif "two_cores" not in name or report["machine"]["cores"] > 1:
            assert target["ours"] > 0 and target["verdict"] in ("met", "missed", "reported"), target
            assert baseline is None or target["ratio"] > 0, target
    server = int((fake / "pid").read_text())
    assert not alive(server), "its server ends with the benchmark"


def test_bench_without_a_working_iperf3_says_so_and_measures_the_rest(tmp_path):
    done = run("bench", "transfer", *TINY, "--transports", "tcp", "--json", env={"PATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    verdicts = {(t["name"], t["baseline"]): t["verdict"] for t in json.loads(done.stdout)["targets"]}
    assert verdicts["tcp_read_1mib_gb_per_s", "iperf3_gb_per_s"] == \
        "not measured: iperf3 is not installed (apt-get install iperf3)"
    assert verdicts["tcp_read_1mib_gb_per_s", "connection_per_transfer_gb_per_s"] in ("met", "missed")
    broken = tmp_path / "iperf3"
    broken.write_text("#!/bin/sh\necho Segmentation fault\n")
    broken.chmod(0o755)
    done = run("bench", "transfer", *TINY, "--transports", "tcp", env={"PATH": str(tmp_path)})
    assert done.returncode == 0 and "not measured: iperf3 printed no JSON: Segmentation fault" in done.stdout, done
    assert verdicts["shm_read_1mib_gb_per_s", "memcpy_1mib_gb_per_s"] == "not measured: it was left out"


def test_bench_without_rounds_is_the_sweep_alone():
    done = run("bench", "transfer", *TINY[:-1], "0", "--transports", "mem", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert len(report["sweep"]) == 8 and report["targets"] == [] and report["rounds"] == {}


@pytest.mark.parametrize("flags, reason", [
    (["--block-bytes", "64k"], "--block-bytes"), (["--batch", "0"], "--batch"), (["--threads", "1,"], "--threads"),
    (["--transports", "rdma"], "mem, shm, tcp"), (["--seconds", "0"], "--seconds"),
    (["--block-bytes", "1073741824", "--batch", "4096"], "at most")])
def test_bench_refuses_what_it_cannot_sweep(flags, reason):
    refused = run("bench", "transfer", *flags)
    assert refused.returncode == 2 and reason in refused.stderr and not refused.stdout, refused
