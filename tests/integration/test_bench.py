"""`mooncake bench serve` against a running cluster: the schema that others build on, and the figure that is promised."""

import json
import subprocess

import pytest

from cluster import BINARY, SLOWDOWN

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
