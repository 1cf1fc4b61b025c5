"""The command line as a user meets it: configuration and its origins, doctor, chat, set-up."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from cluster import BINARY, REPOSITORY, SLOWDOWN


def run(*arguments, env=None, **more):
    return subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=60 * SLOWDOWN,
                          env={**os.environ, **(env or {})}, **more)


def test_documentation_of_options_is_what_the_binary_says():
    assert run("config", "docs").stdout == (REPOSITORY / "docs/configuration.md").read_text()


def test_environment_beats_file_beats_default_and_the_origin_is_shown(tmp_path):
    file = tmp_path / "mooncake.toml"
    file.write_text("[up]\nprefill = 3\ndecode = 4\n")
    shown = run("--config", str(file), "config", "show", "--origin", env={"MOONCAKE_UP_DECODE": "5"})
    assert shown.returncode == 0, shown.stderr
    lines = {line.split(" = ")[0]: line for line in shown.stdout.split("[master]")[0].splitlines() if " = " in line}
    assert "= 3 " in lines["prefill"] and f"{file}:2" in lines["prefill"]
    assert "= 5 " in lines["decode"] and "MOONCAKE_UP_DECODE" in lines["decode"]
    assert "= 1 " in lines["nodes"] and "default" in lines["nodes"]


def test_misspelt_variable_and_value_out_of_range_are_usage_errors():
    misspelt = run("config", "show", env={"MOONCAKE_UP_PREFIL": "3"})
    assert misspelt.returncode == 2 and "MOONCAKE_UP_PREFILL" in misspelt.stderr
    outside = run("up", "--prefill", "0")
    assert outside.returncode == 2 and "1 to 64" in outside.stderr


def test_an_eviction_policy_that_nodes_do_not_have_is_a_usage_error_with_the_choices():
    for command in ("up", "node"):
        for name in ("mru", "length-aware"):
            refused = run(command, "--eviction", name)
            assert refused.returncode == 2 and "lru, fifo, lfu, sieve, s3fifo" in refused.stderr, refused.stderr


def test_absent_default_model_names_the_command_that_gets_it(tmp_path):
    for command in (["up", "--run-dir", str(tmp_path / "run")], ["generate", "--prompt", "x"]):
        failed = run(*command, env={"MOONCAKE_CACHE_DIR": str(tmp_path)})
        assert failed.returncode == 1 and "make build" in failed.stderr, failed.stderr


def test_binary_and_script_agree_where_the_default_model_is(tmp_path):
    where = subprocess.run([str(REPOSITORY / "tools/llama/model"), "--where"], capture_output=True, text=True, check=True,
                           env={**os.environ, "MOONCAKE_CACHE_DIR": str(tmp_path)}).stdout.strip()
    assert where in run("generate", "--prompt", "x", env={"MOONCAKE_CACHE_DIR": str(tmp_path)}).stderr


def test_doctor_finds_a_free_and_a_busy_port():
    healthy = run("doctor", "--http", "127.0.0.1:0", "--engine", "simulated")
    assert healthy.returncode == 0, healthy.stdout
    for topic in ("port", "memory", "open files", "CPU", "model", "shm", "process_vm_readv"):
        assert topic in healthy.stdout
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        busy = run("doctor", "--http", f"127.0.0.1:{port}", "--engine", "simulated")
    assert busy.returncode == 1 and str(port) in busy.stdout


def test_chat_answers_each_line_and_remembers_the_conversation(simulated):
    chat = run("chat", "--run-dir", str(simulated.run_dir), "--temperature", "0", "--max-tokens", "8",
               input="first question\nsecond question\n")
    assert chat.returncode == 0, chat.stderr
    answers = chat.stdout.splitlines()
    assert len(answers) == 2 and all(answers), chat.stdout
    again = run("chat", "--run-dir", str(simulated.run_dir), "--temperature", "0", "--max-tokens", "8",
                input="second question\n")
    assert again.stdout.splitlines() != answers[1:], "the second answer does not depend on what was said before"


def test_chat_without_a_cluster_says_so(tmp_path):
    failed = run("chat", "--run-dir", str(tmp_path), input="hello\n")
    assert failed.returncode == 1 and "mooncake up" in failed.stderr


def test_setup_has_nothing_to_do_and_is_quick():
    began = time.monotonic()
    done = subprocess.run([str(REPOSITORY / "tools/setup"), "--tests"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stdout, done.stdout + done.stderr
    assert time.monotonic() - began < 2 * SLOWDOWN


def test_setup_without_root_lists_what_is_missing_and_stops():
    """A `dpkg-query` that knows no package stands for a bare machine. All of it in a place that anybody may enter, as
    neither tmp_path nor the clone need be."""
    with tempfile.TemporaryDirectory() as bare:
        os.chmod(bare, 0o755)
        clone = Path(bare) / "clone"
        for folder in ("tools", "tests/integration/node"):
            shutil.copytree(REPOSITORY / folder, clone / folder, ignore=shutil.ignore_patterns("node_modules"))
        shutil.copy(REPOSITORY / "tests/integration/requirements.txt", clone / "tests/integration")
        fake = Path(bare) / "dpkg-query"
        fake.write_text("#!/bin/sh\nexit 0\n")
        fake.chmod(0o755)
        command = [str(clone / "tools/setup")]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        stopped = subprocess.run(command, capture_output=True, text=True, timeout=60,
                                 env={"PATH": f"{bare}:{os.environ['PATH']}", "HOME": bare})
    assert stopped.returncode == 1, stopped.stdout + stopped.stderr
    assert "libfmt-dev" in stopped.stdout and " MB" in stopped.stdout and "root" in stopped.stderr
