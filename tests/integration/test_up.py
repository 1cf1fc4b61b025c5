"""`mooncake up`: starts, restarts and ends a cluster as promised."""

import json
import os
import signal
import socket
import subprocess

import pytest

from cluster import BINARY, SLOWDOWN, STOP_SECONDS, Cluster, alive, wait_until


def run(*arguments, **more):
    return subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=60 * SLOWDOWN, **more)


@pytest.mark.figure
def test_eleven_processes_are_ready_within_three_seconds(tmp_path):
    with Cluster(tmp_path / "run", "--engine", "simulated", "--prefill", "4", "--decode", "4", "--nodes", "3") as cluster:
        assert cluster.ready_seconds <= 3.0, f"ready after {cluster.ready_seconds:.2f} s"


def test_up_is_ready_when_the_gateway_reaches_every_worker(tmp_path):
    with Cluster(tmp_path / "run", "--engine", "simulated", "--prefill", "4", "--decode", "4", "--nodes", "3") as cluster:
        states = {i["name"]: i["state"] for i in cluster.get_json("/mooncake/cluster")["instances"]}
    assert len(states) == 8 and set(states.values()) == {"up"}, states


def test_cluster_file_names_every_process(simulated):
    roles = sorted(p["role"] for p in simulated.read()["processes"])
    assert roles == ["decode", "gateway", "master", "node", "prefill", "prefill"]
    for process in simulated.read()["processes"]:
        assert alive(process["pid"]) and process["endpoint"] and process["name"]
    assert simulated.url.startswith("http://127.0.0.1:")
    assert simulated.request("GET", "/readyz")[0] == 200


def test_second_up_in_a_live_run_dir_refuses(simulated):
    second = run("up", "--engine", "simulated", "--run-dir", str(simulated.run_dir), "--http", "127.0.0.1:0")
    assert second.returncode == 1
    assert str(simulated.run_dir) in second.stderr
    assert simulated.complete("still here", 4)["choices"][0]["text"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signal_to_the_process_group_ends_all_with_status_0(tmp_path, signum):
    with Cluster(tmp_path / "run", "--engine", "simulated") as cluster:
        pids = [p["pid"] for p in cluster.read()["processes"]]
        os.killpg(cluster.process.pid, signum)  # as a terminal's Ctrl-C: every process of the group gets it
        assert cluster.process.wait(STOP_SECONDS * SLOWDOWN) == 0, cluster.printed()
        assert not any(alive(pid) for pid in pids)


def test_children_end_when_up_is_killed_and_the_run_dir_can_be_used_again(tmp_path):
    with Cluster(tmp_path / "run", "--engine", "simulated") as cluster:
        pids = [p["pid"] for p in cluster.read()["processes"]]
        cluster.process.kill()
        cluster.process.wait()
        wait_until(lambda: not any(alive(pid) for pid in pids), 10, "children end with up")
    (tmp_path / "run/cluster.json").unlink(missing_ok=True)
    with Cluster(tmp_path / "run", "--engine", "simulated") as cluster:
        assert cluster.complete("again", 4)["choices"][0]["text"]


@pytest.mark.parametrize("name", ["prefill-0", "decode-0", "node-0", "master", "gateway"])
def test_a_dead_process_is_restarted_and_the_file_rewritten(tmp_path, name):
    with Cluster(tmp_path / "run", "--engine", "simulated") as cluster:
        old = cluster.kill(name)
        cluster.await_restart(name, old)
        cluster.await_instances_up()
        assert cluster.complete("after the restart", 4)["choices"][0]["text"]


def test_no_restart_leaves_the_dead_dead(tmp_path):
    with Cluster(tmp_path / "run", "--engine", "simulated", "--no-restart") as cluster:
        old = cluster.kill("prefill-1")
        wait_until(lambda: not alive(old), 10, "prefill-1 is dead")
        for i in range(4):
            assert cluster.complete(f"request {i}", 4)["choices"][0]["text"]
        assert not any(p["name"] == "prefill-1" and alive(p["pid"]) for p in cluster.read()["processes"])


def test_busy_port_is_named(tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        failed = run("up", "--engine", "simulated", "--run-dir", str(tmp_path / "run"), "--http", f"127.0.0.1:{port}")
    assert failed.returncode == 1
    assert str(port) in failed.stderr and "in use" in failed.stderr, failed.stderr


def test_run_dir_that_cannot_be_used_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    failed = run("up", "--engine", "simulated", "--run-dir", str(blocked / "run"), "--http", "127.0.0.1:0")
    assert failed.returncode == 1 and str(blocked) in failed.stderr, failed.stderr


def test_run_dir_that_cannot_be_read_is_named(tmp_path):
    """Root reads every directory, so it tries without the capabilities that let it."""
    closed = tmp_path / "run"
    closed.mkdir(0)
    command = [str(BINARY), "up", "--engine", "simulated", "--run-dir", str(closed), "--http", "127.0.0.1:0"]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=60 * SLOWDOWN)
    assert failed.returncode == 1 and str(closed) in failed.stderr and "denied" in failed.stderr, failed.stderr


def test_only_loopback_addresses_are_bound(tmp_path):
    failed = run("up", "--engine", "simulated", "--run-dir", str(tmp_path / "run"), "--http", "0.0.0.0:0")
    assert failed.returncode != 0 and "loopback" in failed.stderr, failed.stderr


def test_unknown_key_in_the_configuration_file_gets_a_suggestion(tmp_path):
    file = tmp_path / "mooncake.toml"
    file.write_text("[up]\nprefil = 3\n")
    failed = run("--config", str(file), "config", "show")
    assert failed.returncode != 0
    assert "prefil" in failed.stderr and "did you mean" in failed.stderr.lower(), failed.stderr


def test_usage_errors_exit_with_2_and_help_begins_with_examples():
    assert run("up", "--no-such-flag").returncode == 2
    assert run("no-such-command").returncode == 2
    shown = run("--help")
    assert shown.returncode == 0
    assert shown.stdout.lower().index("example") < shown.stdout.lower().index("options")
    assert run("--version").stdout.startswith("mooncake ")


def test_foreign_and_truncated_models_are_refused_with_the_reason(tmp_path):
    foreign = tmp_path / "foreign.gguf"
    foreign.write_bytes(b"PK\x03\x04" + bytes(1000))
    truncated = tmp_path / "truncated.gguf"
    truncated.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + (10).to_bytes(8, "little"))
    for model in (foreign, truncated, tmp_path / "absent.gguf"):
        failed = run("up", "--engine", "llama", "--model", str(model), "--run-dir", str(tmp_path / "run"), "--http",
                     "127.0.0.1:0")
        assert failed.returncode == 1, failed.stdout
        assert str(model) in failed.stderr, failed.stderr


def test_decisions_are_explained(simulated):
    answer = simulated.complete("why was this placed there? " * 30, 4)
    request_id = answer["headers"]["x-request-id"]
    shown = run("kv", "why", request_id, "--run-dir", str(simulated.run_dir))
    assert shown.returncode == 0, shown.stderr
    for expected in ("prefill-0", "prefill-1", "decode-0", "ttft"):
        assert expected in shown.stdout.lower(), shown.stdout
    missing = run("kv", "why", "no-such-request", "--run-dir", str(simulated.run_dir))
    assert missing.returncode == 1 and "no-such-request" in missing.stderr


def test_run_dir_keeps_logs(simulated):
    for name in ("master", "node-0", "prefill-0", "decode-0", "gateway"):
        log = simulated.run_dir / "logs" / f"{name}.log"
        assert log.exists() and log.stat().st_size > 0, name
        first = log.read_text().splitlines()[0]
        assert json.loads(first), "logs are JSON lines"
