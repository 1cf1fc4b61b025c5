"""`mooncake transfer` and `mooncake bench transfer`: bytes between two processes, and the report of how fast."""

import ctypes.util
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
from credentials import SECRET, certificates, secret_file

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


def proofs(tmp_path, mode):
    """The flags of both ends."""
    if mode == "tls":
        return certificates(tmp_path / "tls", ("transfer-serve", "transfer-client"))
    return ["--auth", "mac", "--auth-secret-file", secret_file(tmp_path / "secret")]


@pytest.mark.parametrize("mode, transport", [("mac", "shm"), ("tls", "tcp")])
def test_ends_that_prove_themselves_move_the_right_bytes(tmp_path, mode, transport):
    """TLS does not protect shared memory, which is used only if that is said to be fine."""
    auth, written, out = proofs(tmp_path, mode), tmp_path / "in", tmp_path / "out"
    written.write_bytes(os.urandom(3_000_001))
    with serve(*auth, *(["--trusted-fabric"] if mode == "tls" else [])) as server:
        for flags, way in ([], transport), (["--transport", "tcp"], "tcp"):
            peer = ["--peer", server["endpoint"], *auth, *flags, "--offset", "12345"]
            done = run("transfer", "write", *peer, "--input", str(written))
            assert done.returncode == 0 and f"wrote 3000001 bytes at offset 12345 by {way}" in done.stdout, done
            done = run("transfer", "read", *peer, "--length", "3000001", "--output", str(out))
            assert done.returncode == 0 and out.read_bytes() == written.read_bytes(), done
            written.write_bytes(os.urandom(3_000_001))
        done = run("transfer", "bench", "--peer", server["endpoint"], *auth, *TINY[:-2], "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["settings"]["auth"] == mode and {c["transport"] for c in report["sweep"]} == {"tcp"}
        assert SECRET not in done.stdout


def test_ends_that_do_not_prove_the_same_say_what_is_wrong(tmp_path):
    mac, tls = proofs(tmp_path, "mac"), proofs(tmp_path, "tls")
    other = ["--auth", "mac", "--auth-secret-file", secret_file(tmp_path / "other", "x" * 40)]
    theirs = certificates(tmp_path / "theirs", ("transfer-serve", "transfer-client"))
    elsewhere = certificates(tmp_path / "elsewhere", ("node-9",))
    for serving, asking, reason in [
            (mac, other, "another secret"), (mac, [], "--auth mac"), ([], mac, "--auth"), (tls, theirs, "certificate"),
            (tls, [], "TLS"), (mac, tls, "TLS"), (tls, elsewhere, "subjectAltName must have the DNS name transfer-client"),
            (mac, ["--auth", "mac"], "--auth-secret-file"),
            (mac, ["--auth", "mac", "--auth-secret-file", str(tmp_path / "absent")], "absent")]:
        with serve(*serving) as server:
            for command in ("read", "bench"):
                failed = run("transfer", command, "--peer", server["endpoint"], *asking)
                assert failed.returncode == 1 and reason in failed.stderr, (serving, asking, failed)
                assert not failed.stdout and SECRET not in failed.stderr
            assert run("transfer", "read", "--peer", server["endpoint"], *serving).returncode == 0, "it goes on serving"


def test_tenants_and_nodes_of_a_cluster_prove_themselves_with_what_they_have(tmp_path):
    mac = proofs(tmp_path, "mac")
    made = run("tenant-key", *mac[2:], "--auth-tenant", "blue")
    assert made.returncode == 0, made.stderr
    blue = ["--auth", "mac", "--auth-secret-file", secret_file(tmp_path / "blue", made.stdout.strip()), "--auth-tenant"]
    with serve(*mac) as server:
        assert run("transfer", "read", "--peer", server["endpoint"], *blue, "blue").returncode == 0
        failed = run("transfer", "read", "--peer", server["endpoint"], *blue, "red")
        assert failed.returncode == 1 and failed.stderr, failed
    tls = certificates(tmp_path / "nodes", ("prefill-0", "decode-0"))
    with serve(*tls, "--name", "prefill-0") as server:
        done = run("transfer", "read", "--peer", server["endpoint"], *tls, "--name", "decode-0")
        assert done.returncode == 0, done.stderr


def test_serve_keeps_off_the_network_until_peers_have_to_prove_themselves(tmp_path):
    """192.0.2.1 (RFC 5737) is nobody's address, so that whoever may bind it fails a step later."""
    refused = run("transfer", "serve", "--listen", "192.0.2.1:0")
    assert refused.returncode == 1 and "--auth mac or --auth tls" in refused.stderr, refused
    for flags in proofs(tmp_path, "mac"), ["--insecure"]:
        refused = run("transfer", "serve", "--listen", "192.0.2.1:0", *flags)
        assert refused.returncode == 1 and "cannot listen" in refused.stderr, refused


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
    """Stand-ins print what iperf3 would, 8 gigabits a second whatever the streams, but 16 with two of them, and fio."""
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
    (fake / "fio").write_text("""#!/bin/sh
for word in "$@"; do case $word in --filename=*) file=${word#*=} ;; --rw=*) way=${word#*=} ;; esac; done
[ -r "$file" ] || exit 1
case "$*" in *--size=1073741824*--bs=1048576*--ioengine=io_uring*--direct=1*--iodepth=16*--time_based*) ;; *) exit 1 ;; esac
echo "fio: a warning"
echo '{"jobs": [{"error": 0, "job_runtime": 500, "usr_cpu": 10, "sys_cpu": 30,
                 "'$way'": {"io_bytes": 1000000000, "bw_bytes": 2000000000}}]}'
""")
    (fake / "fio").chmod(0o755)
    disk, scratch, file = tmp_path / "disk", tmp_path / "scratch", tmp_path / "b.json"
    disk.mkdir()
    scratch.mkdir()
    done = run("bench", "transfer", *TINY, "--directory", str(disk), "--json", str(file),
               env={"PATH": str(fake), "TMPDIR": str(scratch)})
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert report["benchmark"] == "transfer" and report["commit"] and {"cpu", "cores"} <= set(report["machine"])
    assert f"load average before: {report['settings']['load_before']}" in done.stdout
    assert {c["transport"] for c in report["sweep"]} >= {"mem", "shm", "tcp", "file"} and len(report["sweep"]) >= 32
    assert not list(disk.iterdir())

    targets = {(t["name"], t["baseline"]): t for t in report["targets"]}
    tcp = targets["tcp_write_1mib_gb_per_s", "iperf3_gb_per_s"]
    assert tcp["baseline_value"] == 2.0, "the best number of streams counts"
    assert tcp["ratio"] == pytest.approx(tcp["ours"] / 2.0) and len(tcp["ratios"]) == 2
    assert targets["tcp_read_1mib_cpu_s_per_gb", "iperf3_cpu_s_per_gb"]["baseline_value"] == 0.5
    for way in ("read", "write"):
        assert targets[f"file_{way}_1mib_gb_per_s", f"fio_{way}_gb_per_s"]["baseline_value"] == 2.0
        assert targets[f"file_{way}_1mib_cpu_s_per_gb", f"fio_{way}_cpu_s_per_gb"]["baseline_value"] == 0.2
    for (name, baseline), target in targets.items():
        if name.startswith("cuda_") and target["verdict"].startswith("not measured: no GPU: "):
            continue
        assert name in {row["name"] for row in report["rows"]}
        assert target["path"] in done.stdout and target["verdict"] in done.stdout
        if "two_cores" not in name or report["machine"]["cores"] > 1:
            assert target["ours"] > 0 and target["verdict"] in ("met", "missed", "reported"), target
            assert baseline is None or target["ratio"] > 0, target
    for mode, limit in ("mac", 0.95), ("tls", 0.5):
        for way in ("read", "write"):
            target = targets[f"{mode}_{way}_1mib_gb_per_s", f"plain_{way}_1mib_gb_per_s"]
            assert (target["goal"], target["limit"], len(target["ratios"])) == ("at_least", limit, 2)
            apart = targets[f"{mode}_{way}_1mib_two_cores_gb_per_s", f"plain_{way}_1mib_two_cores_gb_per_s"]
            assert (apart["goal"], apart["limit"]) == ("at_least", limit)
            assert targets[f"{mode}_{way}_1mib_cpu_s_per_gb", f"plain_{way}_1mib_cpu_s_per_gb"]["goal"] == "reported"
    assert not list(scratch.iterdir()), "secret and certificates are in no file"
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


def test_bench_of_files_without_fio_or_without_room_says_so(tmp_path):
    file_rows = ["file_read_1mib_gb_per_s", "file_write_1mib_gb_per_s", "file_read_1mib_cpu_s_per_gb"]

    def bench(directory):
        done = run("bench", "transfer", *TINY, "--transports", "file,mem", "--directory", directory, "--json",
                   env={"PATH": str(tmp_path)})
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        return done, report["sweep"], {t["name"]: t for t in report["targets"]}

    _, cells, targets = bench(str(tmp_path))
    assert {cell["transport"] for cell in cells} == {"file", "mem"}
    for name in file_rows:
        assert targets[name]["verdict"] == "not measured: fio is not installed (apt-get install fio)"
        assert targets[name]["ours"] > 0, "what there is, is shown"
    done, cells, targets = bench("/proc")
    assert {cell["transport"] for cell in cells} == {"mem"} and "file: not measured: --directory: /proc" in done.stderr
    for name in file_rows:
        assert targets[name]["verdict"].startswith("not measured: --directory: /proc"), targets[name]


def test_bench_of_gpu_memory_measures_a_gpu_and_nothing_else():
    """Without one it says what the loader of the driver says; a test double's speed is nobody's figure."""
    double = BINARY.parent.parent / "simulated_cuda"

    def bench(**env):
        done = run("bench", "transfer", *TINY, "--transports", "cuda", "--json", env=env)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        gpu = [row for kind in ("targets", "rows") for row in report[kind] if row["name"].startswith("cuda_")]
        return done.stderr, report, gpu

    if not ctypes.util.find_library("cuda"):
        stderr, report, rows = bench()
        reason = report["targets"] and {row["verdict"] for row in rows if "verdict" in row}
        assert len(reason) == 1 and (text := reason.pop()).startswith("not measured: no GPU: cuda: libcuda.so.1: "), text
        assert text.removeprefix("not measured: ") in stderr and not report["sweep"]
        assert all(row["reason"] in text for row in rows if "reason" in row)
    if not (double / "libcuda.so.1").exists():
        pytest.skip("the double of the driver is not built (target simulated_cuda)")
    stderr, report, rows = bench(LD_LIBRARY_PATH=str(double))
    assert "cuda: not measured: no GPU: the driver is a test double (simulated GPU 0)" in stderr
    assert len(rows) == 10 and not report["sweep"] and not any(name.startswith("cuda") for name in report["rounds"])
    assert all(row.get("ours") is None and row.get("value") is None for row in rows), rows


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
