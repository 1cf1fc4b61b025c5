"""`mooncake sim`: traces in, figures out."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from cluster import BINARY, SLOWDOWN

FIELDS = ["requests", "block_refs", "distinct_blocks", "hit_rate_prefix_block", "hit_rate_block", "hit_rate_prefix_token"]


def sim(*arguments, timeout=60):
    return subprocess.run([str(BINARY), "sim", *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout * SLOWDOWN)


def sim_json(*arguments, timeout=60) -> dict:
    done = sim(*arguments, "--json", timeout=timeout)
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


RUN_FIELDS = ["requests", "completed", "rejected", "rejected_after_prefill", "goodput_rps", "effective_fraction",
              *(f"ttft_s_{p}" for p in ("mean", "p25", "p50", "p75", "p90", "p99")),
              *(f"tbt_ms_{p}" for p in ("mean", "p50", "p90", "p99")),
              "hit_rate_prefix_block", "prefill_s_mean", "wasted_prefill_s", "transfers", "wall_s"]


def test_a_run_of_a_trace_that_one_can_count_by_hand(trace):
    report = sim_json("run", "--trace", trace, "--prefill", 1, "--decode", 1)
    assert list(report) == RUN_FIELDS
    assert (report["requests"], report["completed"], report["rejected"]) == (4, 4, 0)
    # Figure 14's prefill: 500 tokens cold, then 1,012 with a block there, a stranger's 500, 1,524 with two blocks.
    cold = 42.8 + 113.1 * 500 / 1024 + 0.796 * (500 / 1024) ** 2

    def warm(length, cached):
        n, p = length / 1024, cached / 1024
        return 42.8 + 113.1 * (n - p) + 0.796 * (n * n - p * p) + 26 + 2.2 * p

    prefills = [cold, warm(1012, 512), cold, warm(1524, 1024)]
    assert report["prefill_s_mean"] == pytest.approx(sum(prefills) / 4e3, rel=1e-6)
    assert report["ttft_s_mean"] == report["prefill_s_mean"], "nobody waits: they come a second apart"
    assert report["hit_rate_prefix_block"] == pytest.approx(3 / 7)
    assert report["goodput_rps"] == pytest.approx(4 / 3) and report["effective_fraction"] == 1
    assert report["tbt_ms_mean"] > 26.2


def test_a_run_is_the_same_every_time_but_for_its_duration(trace):
    arguments = ("run", "--trace", trace, "--placement", "random", "--prefill", 3, "--seed", 5)
    first, second = sim_json(*arguments), sim_json(*arguments)
    assert first.pop("wall_s") > 0 and second.pop("wall_s") > 0
    assert first == second


def test_nodes_that_fail_are_counted_and_no_request_is_forgotten(trace):
    calm = sim_json("run", "--trace", trace, "--mtbf-s", 1e8)
    failures = ("node_failures", "placed_again", "failed")
    assert [calm.pop(name) for name in failures] == [0, 0, 0] and list(calm) == RUN_FIELDS
    report = sim_json("run", "--trace", trace, "--mtbf-s", 1, "--repair-s", 0.5, "--seed", 2)
    assert report["node_failures"] > 0
    assert report["completed"] + report["rejected"] + report["failed"] == report["requests"] == 4
    again = sim_json("run", "--trace", trace, "--mtbf-s", 1, "--repair-s", 0.5, "--seed", 2)
    assert report.pop("wall_s") > 0 and again.pop("wall_s") > 0 and report == again
    table = sim("run", "--trace", trace, "--mtbf-s", 1).stdout
    assert "failures of nodes" in table and "failures of nodes" not in sim("run", "--trace", trace).stdout


def test_prefill_only_runs_have_no_time_between_tokens(trace):
    report = sim_json("run", "--trace", trace, "--prefill-only")
    assert report["completed"] == 4 and report["tbt_ms_mean"] is None and report["ttft_s_mean"] > 0


def test_wrong_options_of_a_run_are_named(trace):
    for arguments, status, expected in [((), 2, "--trace"), (("--placement", "best"), 2, "cost-min"),
                                        (("--profile", "cray-1"), 1, "llama3-70b@8xA800"), (("--speed", "0"), 2, "speed"),
                                        (("--cache-blocks-per-node", "0"), 2, "--cache-blocks-per-node"),
                                        (("--policy", "opt"), 2, "sieve"), (("--prefill", "0"), 2, "prefill"),
                                        (("--mtbf-s", "0.5"), 2, "1 to 100000000")]:
        done = sim("run", *(("--trace", trace) if arguments else ()), *arguments)
        assert done.returncode == status and expected in done.stderr, (arguments, done.stderr)


def test_generated_traces_are_replayed_and_have_the_published_means(tmp_path):
    file = tmp_path / "toolagent.jsonl"
    made = subprocess.run([str(BINARY), "trace", "generate", "--preset", "toolagent", "--requests", "5000", "--seed", "1",
                           "--output", str(file)], capture_output=True, text=True, timeout=60 * SLOWDOWN)
    assert made.returncode == 0, made.stderr
    workload = sim_json("workload", "--trace", file)
    assert workload["requests"] == 5000
    assert workload["input_tokens_mean"] == pytest.approx(8596, rel=0.1)
    report = sim_json("run", "--trace", file, "--prefill", 8, "--decode", 8, "--admission", "survival", "--speed", 2)
    assert report["completed"] + report["rejected"] == 5000 and report["completed"] > 4000


@pytest.mark.figure
def test_the_conversation_trace_costs_what_the_paper_says(conversation):
    # Published: 1.661 s of prefill a request without a cache. A cache of one block holds the end of a prompt and no
    # beginning, so nothing is reused.
    report = sim_json("run", "--trace", conversation, "--prefill", 10, "--prefill-only", "--cache-blocks-per-node", 1,
                      "--placement", "round-robin", "--link-gbps", "0.001")
    assert report["prefill_s_mean"] == pytest.approx(1.661, rel=0.015)


@pytest.mark.figure
def test_an_hour_of_sixteen_nodes_takes_a_second(conversation):
    report = sim_json("run", "--trace", conversation, "--prefill", 8, "--decode", 8, "--cache-blocks-per-node", 5859)
    assert report["wall_s"] <= 1


@pytest.fixture(scope="module")
def small_workload(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("workload") / "conversation.jsonl"
    made = subprocess.run([str(BINARY), "trace", "generate", "--requests", "600", "--seed", "2", "--output", str(file)],
                          capture_output=True, text=True, timeout=60 * SLOWDOWN)
    assert made.returncode == 0, made.stderr
    return file


def test_elastic_roles_serve_what_a_wrong_split_cannot(conversation):
    run = ("run", "--trace", conversation, "--prefill", 5, "--decode", 11, "--cache-blocks-per-node", 5859, "--speed", 3,
           "--admission", "survival", "--tbt-slo-ms", 100)
    fixed, elastic = sim_json(*run), sim_json(*run, "--elastic")
    assert "role_changes" not in fixed and elastic["role_changes"] > 0
    assert elastic["prefill_at_end"] > 5
    assert elastic["effective_fraction"] > fixed["effective_fraction"] + 0.1


@pytest.mark.parametrize("experiment", ["request-cost", "cache-capacity", "placement", "staleness", "miscalibration"])
def test_an_experiment_is_a_table_a_json_and_a_page_that_needs_nothing_else(experiment, small_workload, tmp_path):
    json_file, page = tmp_path / "report.json", tmp_path / "report.html"
    done = subprocess.run([str(BINARY), "sim", "--experiment", experiment, "--trace", str(small_workload), "--json",
                           str(json_file), "--html", str(page)], capture_output=True, text=True, timeout=120 * SLOWDOWN)
    assert done.returncode == 0, done.stderr
    report = json.loads(json_file.read_text())
    assert report["experiment"] == experiment and report["title"] in done.stdout
    for table in report["tables"]:
        assert table["rows"] and all(list(row) == table["columns"] for row in table["rows"])
    html = page.read_text()
    assert "uPlot" in html and "src=" not in html and "@import" not in html


def tables_of(experiment, trace) -> dict[str, list]:
    report = sim_json("--experiment", experiment, "--trace", trace, timeout=240)
    return {table["title"]: table["rows"] for table in report["tables"]}


@pytest.mark.figure
def test_nodes_serve_more_requests_apart_than_coupled(conversation):
    figure_1, by_speed, capacity = tables_of("capacity", conversation).values()
    best = {row["cluster"]: row["TBT 100 ms"] for row in figure_1}
    assert min(best["8P8D"], best["10P6D"]) >= 0.966, "published"
    assert all(share < best["8P8D"] for cluster, share in best.items() if cluster.startswith("coupled"))
    assert all(row["10P10D / best coupled"] > 1 for row in by_speed)
    published = ["coupled", "coupled, prefix cache", "coupled, chunks of 512"]
    more = {row["cluster"]: row["10P10D serves more, %"] for row in capacity}
    assert all(more[engine] > 75 for engine in published) and more["coupled, chunks of 256"] > 50


@pytest.mark.figure
def test_long_prompts_gain_what_was_published_or_more(conversation):
    rows = tables_of("long-context", conversation)["Requests a second within objectives, four nodes"]
    assert [row["prompt tokens"] for row in rows] == [16384, 32768, 65536, 131072]
    assert all(row["3P1D / one at a time, %"] > 50 for row in rows)


@pytest.mark.figure
def test_survival_is_ahead_where_decode_has_too_much_to_do(conversation):
    tables = tables_of("overload", conversation)
    for row in tables["Goodput of survival over predictive"]:
        assert row["3x"] > 1 and row["4x"] > 1, row
        assert row["2x"] > 0.99, row
    for title in ("conversation_trace.jsonl, 13P3D", "generated toolagent, 14P2D"):
        wasted = {(row["admission"], row["speed"]): row["wasted_prefill_s"] for row in tables[title]}
        assert wasted["baseline", 4] > 1000 and wasted["survival", 4] == 0


@pytest.mark.figure
def test_a_division_of_nodes_in_the_middle_serves_everybody(tmp_path):
    trace = tmp_path / "synthetic.jsonl"
    made = subprocess.run([str(BINARY), "trace", "generate", "--preset", "synthetic", "--requests", "3993", "--seed", "1",
                           "--output", str(trace)], capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    rows = tables_of("pd-ratio", trace)["Effective requests: TTFT within 30 s and TBT within 100 ms"]
    shares = {row["split"]: [value for name, value in row.items() if name.endswith("requests/s")] for row in rows}
    assert all(min(shares[split]) >= 0.98 for split in ("7P9D", "8P8D", "9P7D", "10P6D"))
    assert min(shares["5P11D"]) < 0.5, "too little prefill"


def test_unknown_experiments_are_answered_with_the_known_ones():
    for arguments in [("--experiment", "everything"), ()]:
        done = sim(*arguments)
        assert done.returncode == 2 and "cache-capacity" in done.stderr and "overload" in done.stderr


def test_a_plan_is_the_smallest_clusters_first(small_workload):
    report = sim_json("plan", "--trace", small_workload, "--ttft-slo-s", 30, "--tbt-slo-ms", 100)
    rows = report["tables"][0]["rows"]
    assert rows and [row["nodes"] for row in rows] == sorted(row["nodes"] for row in rows)
    assert all(row["effective"] >= 0.99 and row["nodes"] == row["prefill"] + row["decode"] for row in rows)
    done = sim("plan", "--trace", small_workload, "--tbt-slo-ms", 1)
    assert done.returncode == 0 and "No cluster" in done.stdout
