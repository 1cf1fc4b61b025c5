"""`mooncake sim`: traces in, figures out."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from cluster import BINARY, SLOWDOWN

FIELDS = ["requests", "block_refs", "distinct_blocks", "hit_rate_prefix_block", "hit_rate_block", "hit_rate_prefix_token"]


def sim(*arguments):
    return subprocess.run([str(BINARY), "sim", *map(str, arguments)], capture_output=True, text=True, timeout=60 * SLOWDOWN)


def sim_json(*arguments) -> dict:
    done = sim(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def trace(tmp_path) -> Path:
    """Three turns of one conversation and a stranger."""
    file = tmp_path / "trace.jsonl"
    prompts = [[7], [7, 8], [99], [7, 8, 9]]
    file.write_text("".join(
        json.dumps({"timestamp": i * 1000, "input_length": 512 * len(p) - 12, "output_length": 5, "hash_ids": p}) + "\n"
        for i, p in enumerate(prompts)))
    return file


@pytest.fixture(scope="module")
def conversation() -> Path:
    file = Path(os.environ.get("MOONCAKE_TRACES", "")) / "conversation_trace.jsonl"
    if not file.is_file():
        pytest.skip("MOONCAKE_TRACES names no folder with conversation_trace.jsonl")
    return file


def test_hit_rates_of_a_trace_that_one_can_count_by_hand(trace):
    report = sim_json("cache", "--trace", trace)
    assert list(report) == FIELDS
    assert (report["requests"], report["block_refs"], report["distinct_blocks"]) == (4, 7, 4)
    assert report["hit_rate_prefix_block"] == report["hit_rate_block"] == pytest.approx(3 / 7)
    assert report["hit_rate_prefix_token"] == pytest.approx((512 + 1024) / (4 * 500 + 512 * 3))
    assert sim_json("cache", "--trace", trace, "--capacity-blocks", 1)["hit_rate_block"] == pytest.approx(1 / 7)


def test_a_workload_is_described(trace):
    report = sim_json("workload", "--trace", trace)
    assert (report["requests"], report["span_s"], report["input_tokens_max"]) == (4, 3.0, 1524)
    assert report["reusable_blocks"] == pytest.approx(3 / 7) and report["hottest_block_requests"] == 3


def test_json_goes_to_standard_output_alone_or_to_a_file_beside_the_table(trace, tmp_path):
    file = tmp_path / "report.json"
    done = sim("cache", "--trace", trace, "--json", file)
    assert done.returncode == 0 and "4 requests" in done.stdout
    assert json.loads(file.read_text()) == sim_json("cache", "--trace", trace)


def test_wrong_traces_and_options_are_named(trace, tmp_path):
    broken = tmp_path / "broken.jsonl"
    broken.write_text(trace.read_text() + '{"timestamp": 1}\n')
    for arguments, status, expected in [(("--trace", broken), 2, "line 5"), (("--trace", tmp_path / "none"), 1, "none"),
                                        ((), 2, "--trace"), (("--trace", trace, "--policy", "mru"), 2, "sieve"),
                                        (("--trace", trace, "--capacity-blocks", "0"), 2, "capacity"),
                                        (("--trace", trace, "--nodes", "0"), 2, "nodes")]:
        done = sim("cache", *arguments)
        assert done.returncode == status and expected in done.stderr, (arguments, done.stderr)


@pytest.mark.figure
def test_the_published_conversation_trace_is_counted_right(conversation):
    report = sim_json("cache", "--trace", conversation)
    assert (report["requests"], report["block_refs"], report["distinct_blocks"]) == (12_031, 288_500, 182_790)
    # Without a limit every block hits but at its first appearance.
    assert report["hit_rate_block"] == pytest.approx(1 - 182_790 / 288_500)
    report = sim_json("workload", "--trace", conversation)
    assert round(report["input_tokens_mean"]) == 12_035 and round(report["output_tokens_mean"]) == 343, "as published"
    assert report["hottest_block_requests"] == 12_031


@pytest.mark.figure
def test_more_capacity_is_never_worse_for_lru_and_opt_bounds_every_policy(conversation):
    sizes = [1_953, 9_765, 97_656]
    lru = [sim_json("cache", "--trace", conversation, "--policy", "lru", "--capacity-blocks", n)["hit_rate_block"] for n in sizes]
    assert lru == sorted(lru)
    best = sim_json("cache", "--trace", conversation, "--policy", "opt", "--capacity-blocks", 9_765)["hit_rate_block"]
    for policy in ["fifo", "lfu", "sieve", "s3fifo", "length-aware", "default"]:
        report = sim_json("cache", "--trace", conversation, "--policy", policy, "--capacity-blocks", 9_765)
        assert 0 < report["hit_rate_block"] < best, policy
