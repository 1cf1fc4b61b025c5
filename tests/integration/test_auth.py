"""Authentication: clusters that prove themselves by a secret or by certificates, and strangers who cannot."""

import hashlib
import hmac
import json
import subprocess
import threading

import pytest

from cluster import BINARY, SLOWDOWN, Cluster
from credentials import SECRET, certificates, secret_file

NAMES = ("master", "node-0", "prefill-0", "decode-0", "gateway")


def stranger(cluster: Cluster, *flags: str) -> subprocess.Popen:
    """A store node that wants to join; it goes on trying for as long as it is let."""
    return subprocess.Popen([str(BINARY), "node", "--name", "node-9", "--master", cluster.processes("master")[0]["endpoint"],
                             "--cluster-id", cluster_id(cluster), *flags], stderr=subprocess.PIPE, text=True)


def cluster_id(cluster: Cluster) -> str:
    """The cluster's id, from a process's command line; strangers on this host can see it too."""
    pid = cluster.processes("master")[0]["pid"]
    words = open(f"/proc/{pid}/cmdline", "rb").read().decode().split("\0")
    return words[words.index("--cluster-id") + 1]


def first_refusal(process: subprocess.Popen) -> str:
    """The first line of its log that says what is wrong."""
    limit = threading.Timer(30 * SLOWDOWN, process.kill)
    limit.start()
    try:
        for line in process.stderr:
            entry = json.loads(line)
            if entry["level"] in ("warning", "error"):
                return entry["message"]
        return "none"
    finally:
        limit.cancel()
        process.kill()
        process.wait()


def up_fails(tmp_path, *flags: str) -> str:
    failed = subprocess.run([str(BINARY), "up", "--engine", "simulated", "--run-dir", str(tmp_path / "run"), "--http",
                             "127.0.0.1:0", *flags], capture_output=True, text=True, timeout=60 * SLOWDOWN)
    assert failed.returncode != 0, failed.stdout
    return failed.stderr


def answers_and_keeps_secrets(cluster: Cluster, secret: str):
    assert cluster.complete("a cluster that proves itself", 8)["choices"][0]["text"]
    for process in cluster.read()["processes"]:
        assert secret not in open(f"/proc/{process['pid']}/cmdline", "rb").read().decode()
    for log in cluster.run_dir.glob("logs/*"):
        assert secret not in log.read_text(errors="replace"), log.name


def test_cluster_with_a_secret_serves_and_refuses_others(tmp_path):
    flags = ("--auth", "mac", "--auth-secret-file", secret_file(tmp_path / "secret"))
    with Cluster(tmp_path / "run", "--engine", "simulated", "--prefill", "1", *flags) as cluster:
        answers_and_keeps_secrets(cluster, SECRET)
        other = secret_file(tmp_path / "other", "x" * 40)
        assert "another secret" in first_refusal(stranger(cluster, "--auth", "mac", "--auth-secret-file", other))
        assert "--auth mac" in first_refusal(stranger(cluster))
        assert cluster.complete("still here", 4)["choices"][0]["text"]


def test_cluster_with_certificates_serves_and_refuses_others(tmp_path):
    flags = certificates(tmp_path / "ours", NAMES)
    with Cluster(tmp_path / "run", "--engine", "simulated", "--prefill", "1", *flags) as cluster:
        answers_and_keeps_secrets(cluster, (tmp_path / "ours/key").read_text().splitlines()[1])
        theirs = certificates(tmp_path / "theirs", ("node-9",))
        assert "certificate" in first_refusal(stranger(cluster, *theirs))
        assert "TLS" in first_refusal(stranger(cluster))
        assert cluster.complete("still here", 4)["choices"][0]["text"]


def test_up_says_what_is_wrong_with_its_files(tmp_path):
    mac = ("--auth", "mac", "--auth-secret-file")
    assert "--auth-secret-file" in up_fails(tmp_path, "--auth", "mac")
    assert "chmod 600" in up_fails(tmp_path, *mac, secret_file(tmp_path / "open", mode=0o644))
    assert "32" in up_fails(tmp_path, *mac, secret_file(tmp_path / "short", "short"))
    flags = certificates(tmp_path / "ours", ("master", "node-0"))
    shown = up_fails(tmp_path, *flags)
    assert "subjectAltName" in shown and "master, node-0" in shown, shown


@pytest.mark.parametrize("flags, word", [((), "--insecure"), (("--insecure",), "")])
def test_plain_engines_listen_on_loopback_only(flags, word):
    """192.0.2.1 (RFC 5737) is nobody's address, so that whoever may bind it fails a step later."""
    failed = subprocess.run([str(BINARY), "master", "--listen", "192.0.2.1:0", *flags], capture_output=True, text=True,
                            timeout=60 * SLOWDOWN)
    assert failed.returncode != 0
    assert (word in failed.stderr) if word else ("cannot listen" in failed.stderr), failed.stderr


def test_tenant_key_is_the_hmac_of_the_tenants_name(tmp_path):
    made = subprocess.run([str(BINARY), "tenant-key", "--auth-secret-file", secret_file(tmp_path / "secret"),
                           "--auth-tenant", "blue"], capture_output=True, text=True, timeout=60 * SLOWDOWN)
    assert made.returncode == 0, made.stderr
    assert made.stdout.strip() == hmac.new(SECRET.encode(), b"mooncake tenant blue", hashlib.sha256).hexdigest()
