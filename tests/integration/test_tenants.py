"""Tenants: API keys, and a flood of one that does not hold up another."""

import concurrent.futures
import json
import statistics
import subprocess
import threading
import time

import pytest

from cluster import BINARY, SLOWDOWN, Cluster, metric, scrape, wait_until
from texts import text

KEYS = {"flood": "key-of-flood", "quiet": "key-of-quiet"}
#: Prompts of the flood that wait at any time: 40 ms each (2,000 tokens at 20 us).
FLOOD = 32
#: 200 ms alone. It needs two turns of 100 ms, in which the flood has two as well, and one prompt was there first:
#: 200 + 2 * 100 + 40, and what is left over of turns. In one line it would wait for all 32: 1.3 s before its own 0.2.
QUIET_TOKENS = 10_000
FACTOR_MAX = 3.0


def prompt(seed: int, tokens: int) -> str:
    """Words, cut to as many bytes, each of which is a token of the simulated engine."""
    return text(seed, tokens // 3)[:tokens]


def tenants_file(tmp_path, more: str = "") -> str:
    path = tmp_path / "tenants.toml"
    path.write_text("[keys]\n" + "".join(f'{key} = "{tenant}"\n' for tenant, key in KEYS.items()) + more)
    return str(path)


def one_prefill_worker(tmp_path) -> Cluster:
    return Cluster(tmp_path / "run", "--engine", "simulated", "--prefill", "1", "--tenants", tenants_file(tmp_path))


def ask(cluster: Cluster, tenant: str, words: str) -> float:
    """Seconds until the only token of an answer."""
    started = time.monotonic()
    body = {"prompt": words, "max_tokens": 1, "temperature": 0}
    status, _, answer = cluster.request("POST", "/v1/completions", body, {"authorization": f"Bearer {KEYS[tenant]}"})
    assert status == 200, answer
    return time.monotonic() - started


def median_beside_a_flood(cluster: Cluster, quiet: str, seed: int) -> float:
    """Of `quiet`'s prompts, one after the other, while FLOOD prompts of the other tenant wait."""
    over = threading.Event()

    def flood(number: int):
        count = 0
        while not over.is_set():
            ask(cluster, "flood", prompt(seed + 1000 * (number + 1) + count, 2000))
            count += 1

    with concurrent.futures.ThreadPoolExecutor(FLOOD) as pool:
        floods = [pool.submit(flood, number) for number in range(FLOOD)]
        try:
            worker = cluster.process_named("prefill-0")
            wait_until(lambda: metric(scrape(worker), "mooncake_serve_queued_requests", role="prefill") >= FLOOD - 4, 30,
                       "the flood waits at the worker")
            times = [ask(cluster, quiet, prompt(seed + i, QUIET_TOKENS)) for i in range(7)]
        finally:
            over.set()
        for one in floods:
            one.result()
    return statistics.median(times)


@pytest.mark.figure
def test_a_flood_of_one_tenant_holds_up_another_by_a_known_factor_only(tmp_path):
    with one_prefill_worker(tmp_path) as cluster:
        alone = statistics.median(ask(cluster, "quiet", prompt(i, QUIET_TOKENS)) for i in range(5))
        beside = median_beside_a_flood(cluster, "quiet", 100_000)
        in_one_line = median_beside_a_flood(cluster, "flood", 900_000)
    print(f"alone {alone:.3f} s, beside a flood {beside:.3f} s, in one line {in_one_line:.3f} s")
    assert beside <= FACTOR_MAX * alone
    assert in_one_line > FACTOR_MAX * alone, "the flood is none"


def test_keys_are_needed_and_never_written_down(tmp_path):
    with one_prefill_worker(tmp_path) as cluster:
        body = {"prompt": "hello", "max_tokens": 1}
        for headers in ({}, {"authorization": "Bearer key-of-nobody"}):
            status, got, answer = cluster.request("POST", "/v1/completions", body, headers)
            assert status == 401 and got["www-authenticate"] == "Bearer"
            assert json.loads(answer)["error"]["code"] == "invalid_api_key"
        assert ask(cluster, "quiet", "hello") > 0
        logs = "".join(log.read_text(errors="replace") for log in (tmp_path / "run").glob("logs/*"))
        assert "key-of-" not in logs


def test_a_wrong_file_of_tenants_is_told_before_anything_starts(tmp_path):
    for path, expected in ((str(tmp_path / "missing.toml"), "cannot be read"),
                           (tenants_file(tmp_path, "[weights]\nnobody = 2\n"), "tenants.toml:5: a weight for a tenant who has no key")):
        command = [BINARY, "up", "--engine", "simulated", "--run-dir", tmp_path / "none", "--tenants", path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and expected in done.stderr and "key-of-" not in done.stderr, done.stderr


def test_the_tools_ask_with_the_key_in_a_file_and_say_why_without_one(tmp_path):
    key_file = tmp_path / "key"
    key_file.write_text(KEYS["quiet"] + "\n")

    def tool(*arguments, words=""):
        return subprocess.run([str(BINARY), *arguments, "--url", cluster.url], input=words, capture_output=True,
                              text=True, timeout=120 * SLOWDOWN)

    with one_prefill_worker(tmp_path) as cluster:
        refused = tool("chat", words="Hello!\n")
        assert refused.returncode != 0 and "401" in refused.stderr, refused.stderr
        key = ("--api-key-file", str(key_file))
        answered = tool("chat", *key, "--max-tokens", "4", words="Hello!\n")
        assert answered.returncode == 0 and answered.stdout.strip(), answered.stderr
        report = tmp_path / "report.json"
        bench = tool("bench", "serve", *key, "--scenario", "poisson", "--rate", "5", "--duration", "1", "--seed", "3",
                     "--prompt-tokens", "20", "--answer-tokens", "2", "--json", str(report))
        assert bench.returncode == 0 and json.loads(report.read_text())["rows"], bench.stderr
        body = {"prompt": "x", "max_tokens": 1}
        _, headers, _ = cluster.request("POST", "/v1/completions", body, {"authorization": f"Bearer {KEYS['quiet']}"})
        assert tool("kv", "why", headers["x-request-id"]).returncode != 0
        assert "prefill-0" in tool("kv", "why", headers["x-request-id"], *key).stdout
        key_file.write_text("two words\n")
        assert "holds no API key" in tool("chat", *key).stderr
