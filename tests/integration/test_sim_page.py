"""The pages of `mooncake sim`, as a browser shows them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from browser import look_at
from cluster import BINARY, SLOWDOWN

# Colours of the first lines of a chart, and of the bars of a Gantt: served, and refused after its prefill.
BLUE, ORANGE = "#0072b2", "#d55e00"
#: More than one decode instance can do: some are refused at once, and many after their prefill.
OVERLOADED = ("--prefill", 4, "--decode", 1, "--admission", "baseline", "--speed", 2, "--tbt-slo-ms", 60)


def mooncake(*arguments):
    done = subprocess.run([str(BINARY), *map(str, arguments)], capture_output=True, text=True, timeout=120 * SLOWDOWN)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def workload(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("workload") / "conversation.jsonl"
    mooncake("trace", "generate", "--requests", 600, "--seed", 2, "--output", file)
    return file


def rows_of(table) -> dict:
    """A table's rows by their first cell, each by column."""
    return {row[0]: dict(zip(table[0], row)) for row in table[1:]}


def test_a_run_has_a_page_with_charts_a_gantt_and_tables(workload, tmp_path):
    page = tmp_path / "run.html"
    figures = json.loads(mooncake("sim", "run", "--trace", workload, *OVERLOADED, "--json", "--html", page))
    seen = look_at(page, tmp_path)
    assert seen["console"] == []
    assert seen["title"].startswith("A simulated run: ")
    titles = [chart["title"] for chart in seen["charts"]]
    assert titles == ["TTFT of completed requests; the objective is 30 s",
                      "TBT of completed requests; the objective is 60 ms", "Prompts", "Requests in decode",
                      "Requests by when they arrived", "Blocks of prompts that were reused"]
    for chart in seen["charts"]:
        assert chart["drawn"].get(BLUE, 0) > 50, chart["title"]
    assert all(chart["drawn"].get("#000000", 0) > 50 for chart in seen["charts"][:2]), "a line at each objective"
    (gantt,) = seen["gantts"]
    assert gantt.get(BLUE, 0) > 1000 and gantt.get(ORANGE, 0) > 1000
    assert re.fullmatch(r"prefill-0: [\d.]+ to [\d.]+, (served|refused after its prefill)", *seen["said"])
    told, latencies, refused, prefill, decode = map(rows_of, seen["tables"])
    assert told["completed"]["value"] == str(figures["completed"])
    assert float(latencies["ttft_s"]["p90"]) == pytest.approx(figures["ttft_s_p90"], rel=1e-3)
    assert {"TTFT objective", "TBT objective"} < refused.keys()
    assert sum(int(row["requests"]) for reason, row in refused.items() if reason != "all") == figures["rejected"]
    assert int(refused["all"]["after prefill"]) == figures["rejected_after_prefill"] > 0
    assert list(prefill) == [f"prefill-{i}" for i in range(4)] and list(decode) == ["decode-0"]
    computed = figures["completed"] + figures["rejected_after_prefill"]
    assert sum(int(row["prompts"]) for row in prefill.values()) == computed


def test_the_page_of_a_run_fits_a_narrow_window(workload, tmp_path):
    page = tmp_path / "run.html"
    mooncake("sim", "run", "--trace", workload, *OVERLOADED, "--html", page)
    seen = look_at(page, tmp_path, width=500)
    assert seen["window_width"] <= 500 and seen["page_width"] <= seen["window_width"]


def test_equal_runs_have_equal_pages_and_the_page_changes_no_figure(workload, tmp_path):
    pages = [tmp_path / "one.html", tmp_path / "two.html"]
    runs = [json.loads(mooncake("sim", "run", "--trace", workload, *OVERLOADED, "--json", "--html", page))
            for page in pages]
    assert pages[0].read_bytes() == pages[1].read_bytes()
    without = json.loads(mooncake("sim", "run", "--trace", workload, *OVERLOADED, "--json"))
    for run in (*runs, without):
        run.pop("wall_s")
    assert runs[0] == runs[1] == without


def test_a_run_in_which_nothing_is_computed_has_a_page_all_the_same(workload, tmp_path):
    page = tmp_path / "run.html"
    mooncake("sim", "run", "--trace", workload, "--admission", "early", "--ttft-slo-s", "0.001", "--html", page)
    seen = look_at(page, tmp_path)
    assert seen["console"] == [] and seen["gantts"] == []
    assert seen["title"] == "A simulated run: 0 of 600 requests in time"
    assert rows_of(seen["tables"][1])["TTFT objective"]["requests"] == "600"


@pytest.mark.parametrize("experiment", ["cache-capacity", "placement"])
def test_the_charts_of_an_experiment_are_drawn(experiment, workload, tmp_path):
    page = tmp_path / "report.html"
    mooncake("sim", "--experiment", experiment, "--trace", workload, "--html", page)
    seen = look_at(page, tmp_path)
    assert seen["console"] == [] and seen["charts"] and seen["tables"]
    for chart in seen["charts"]:
        assert chart["drawn"].get(BLUE, 0) > 50, chart["title"]
