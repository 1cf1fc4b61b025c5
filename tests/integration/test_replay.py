"""A live gateway's decisions, made again from its log: the same object code, the same bytes."""

import concurrent.futures
import json

from cluster import Cluster, replay_decisions
from texts import text


def test_a_live_gateways_decisions_are_made_again_byte_for_byte(tmp_path):
    log = tmp_path / "decisions.jsonl"
    flags = ("--engine", "simulated", "--prefill", "2", "--decode", "2", "--nodes", "2", "--admission", "survival",
             "--ttft-slo-s", "5", "--decision-log", str(log))
    with Cluster(tmp_path / "run", *flags) as cluster:
        shared = [text(seed, 600) for seed in range(5)]
        bodies = [json.dumps({"model": cluster.model, "prompt": shared[i % 5] + text(100 + i, 20), "max_tokens": 4}).encode()
                  for i in range(60)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda body: cluster.request("POST", "/v1/completions", body)[0], bodies))
        assert statuses.count(200) > 30 and set(statuses) <= {200, 503}
    done = replay_decisions(log, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["different"] == 0 and report["decisions"] >= 60 and report["calls"] > 200

    lines = log.read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if '"call":"request"' in line)
    lines[at] = lines[at].replace('"predicted_ttft":', '"predicted_ttft":9')
    forged = tmp_path / "forged.jsonl"
    forged.write_text("".join(lines))
    done = replay_decisions(forged)
    assert done.returncode == 1 and f"line {at + 1} was" in done.stdout


def test_what_is_no_log_is_refused(tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text('{"timestamp": 1}\n')
    assert replay_decisions(other).returncode == 2 and "line 1" in replay_decisions(other).stderr
    assert replay_decisions(tmp_path / "none").returncode == 1
