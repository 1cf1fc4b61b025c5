"""`mooncake bench serve` against a running cluster: the schema that others build on, and the figure that is promised."""

import json
import subprocess

import pytest

from cluster import BINARY, SLOWDOWN, Cluster

ROW = {"name", "value", "unit", "baseline", "baseline_value", "ratio", "target", "met", "better"}


def bench(cluster, file, *flags):
    done = subprocess.run([str(BINARY), "bench", "serve", "--url", cluster.url, *flags, "--json", str(file)],
                          capture_output=True, text=True, timeout=600 * SLOWDOWN)
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert report["commit"] and {"cpu", "cores", "memory", "kernel"} <= set(report["machine"])
    for row in report["rows"]:
        assert ROW <= set(row), row
        assert row["name"] in done.stdout, "what is written is also printed"
    return {row["name"]: row["value"] for row in report["rows"]}


def test_shared_prefix_reports_cold_and_warm(simulated, tmp_path):
    rows = bench(simulated, tmp_path / "b.json", "--scenario", "shared-prefix", "--prefix-tokens", "2000", "--requests", "8")
    assert rows["cached_tokens_warm"] >= 1984 - 64
    assert rows["ratio"] == pytest.approx(rows["ttft_ms_cold_p50"] / rows["ttft_ms_warm_p50"], rel=0.01)


@pytest.mark.figure
def test_a_warm_prefix_starts_sooner_on_the_simulated_engine_too(simulated, tmp_path):
    rows = bench(simulated, tmp_path / "b.json", "--scenario", "shared-prefix", "--prefix-tokens", "2000", "--requests", "8")
    assert rows["ttft_ms_warm_p50"] < rows["ttft_ms_cold_p50"]


def test_poisson_reports_percentiles_and_goodput(simulated, tmp_path):
    rows = bench(simulated, tmp_path / "b.json", "--scenario", "poisson", "--rate", "20", "--duration", "3")
    assert {"ttft_ms_p50", "ttft_ms_p99", "tbt_ms_p50", "tbt_ms_p99", "goodput_rps", "requests", "completed"} <= set(rows)
    assert rows["completed"] == rows["requests"] > 20


@pytest.mark.llama
@pytest.mark.figure
def test_a_warm_prefix_starts_ten_times_sooner_on_the_other_worker(llama, tmp_path):
    rows = bench(llama, tmp_path / "b.json", "--scenario", "shared-prefix", "--prefix-tokens", "2000", "--requests", "3")
    print(rows)
    assert rows["ratio"] >= 10


def mooncake(*arguments, cwd=None):
    return subprocess.run([str(BINARY), *map(str, arguments)], capture_output=True, text=True, timeout=600 * SLOWDOWN, cwd=cwd)


@pytest.mark.figure
def test_an_engine_is_measured_and_its_profile_serves_a_cluster(tmp_path):
    done = mooncake("bench", "engine", "--engine", "simulated", "--json", "report.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    file = tmp_path / "simulated.profile.json"
    profile = json.loads(file.read_text())
    tokens = 2048  # for which the engine waits 41 ms; a busy machine wakes it late
    prefill_ms = (profile["prefill_fixed_ms"] + profile["prefill_ms_per_token"] * tokens
                  + profile["prefill_ms_per_token2"] * tokens ** 2)
    assert 30 < prefill_ms < 120
    assert profile["kv_bytes_per_token"] == 256
    rows = {row["name"]: row for row in json.loads((tmp_path / "report.json").read_text())["rows"]}
    assert rows["prefill_ms_2048"]["baseline"] == "fitted" and "laptop" in rows["link_bytes_per_ms"]["reason"]
    with Cluster(tmp_path / "run", "--engine", "simulated", "--profile", str(file)) as cluster:
        assert bench(cluster, tmp_path / "b.json", "--scenario", "poisson", "--duration", "1", "--rate", "5")["failed"] == 0


def test_a_wrong_profile_is_named_before_anything_starts(tmp_path):
    file = tmp_path / "part.json"
    file.write_text('{"name": "part", "prefill_fixed_ms": -1}')
    for profile, expected in [(file, "prefill_fixed_ms"), (tmp_path / "none.json", "none.json"), ("cray-1", "smollm2-cpu")]:
        done = mooncake("up", "--engine", "simulated", "--run-dir", tmp_path / "run", "--profile", profile)
        assert done.returncode != 0 and expected in done.stderr, done.stderr


def test_a_trace_is_replayed_with_its_shared_prefixes(simulated, tmp_path):
    trace = tmp_path / "trace.jsonl"
    lines = [{"timestamp": 1000 * i, "input_length": 512 * len(ids) - 12, "output_length": 40, "hash_ids": ids}
             for i, ids in enumerate([[7], [7, 8], [99], [7, 8, 9], list(range(300))])]
    trace.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = bench(simulated, tmp_path / "b.json", "--scenario", "trace", "--trace", str(trace), "--speed", "10",
                 "--tokens-scale", "0.25")
    assert (rows["requests"], rows["completed"], rows["skipped"], rows["failed"]) == (5, 5, 0, 0)
    assert rows["prompt_tokens"] == pytest.approx(0.25 * sum(line["input_length"] for line in lines), rel=0.02)
    # Whole blocks of 64: nothing of block 7 as a whole, then 7, then 7 and 8.
    assert rows["cached_tokens"] == pytest.approx(64 + 3 * 64, abs=64)
    rows = bench(simulated, tmp_path / "b.json", "--scenario", "trace", "--trace", str(trace), "--speed", "10")
    assert (rows["requests"], rows["skipped"]) == (4, 1), "150,000 tokens are more than the simulated context"


def test_poisson_saves_what_it_sent_as_a_trace(simulated, tmp_path):
    trace = tmp_path / "trace.jsonl"
    rows = bench(simulated, tmp_path / "b.json", "--scenario", "poisson", "--rate", "20", "--duration", "2",
                 "--prompt-tokens", "600", "--save-trace", str(trace))
    workload = json.loads(mooncake("sim", "workload", "--trace", trace, "--json").stdout)
    assert workload["requests"] == rows["requests"]
    assert workload["input_tokens_mean"] == pytest.approx(rows["prompt_tokens"] / rows["completed"])
    assert workload["reusable_blocks"] == 0 and workload["block_refs"] == 2 * rows["requests"]
