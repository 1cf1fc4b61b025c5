"""`mooncake bench conductor`: the schema of bench serve, and rows that do not depend on how fast the machine is."""

import json
import subprocess

import pytest

from cluster import BINARY, SLOWDOWN

INDEX_ROWS = ["lookups_per_s", "lookup_us_p50", "lookup_us_p99", "adds_per_s", "bytes_per_block"]
TINY = ["--blocks", "20000", "--lookups", "2000", "--decisions", "100"]


def bench(*flags) -> str:
    done = subprocess.run([str(BINARY), "bench", "conductor", *flags], capture_output=True, text=True,
                          timeout=300 * SLOWDOWN)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_index_its_comparisons_and_decisions_are_reported_with_machine_and_commit(tmp_path):
    file = tmp_path / "b.json"
    table = bench(*TINY, "--json", str(file))
    report = json.loads(file.read_text())
    assert report["benchmark"] == "conductor" and report["commit"]
    assert {"cpu", "cores", "memory", "kernel"} <= set(report["machine"])
    assert report["settings"] == {"blocks": "20000", "lookups": "2000", "decisions": "100", "seed": "1"}
    rows = {row["name"]: row for row in report["rows"]}
    expected = ["blocks", *INDEX_ROWS, *(f"comparison_hash_map_{name}" for name in INDEX_ROWS),
                *(f"comparison_radix_tree_{name}" for name in INDEX_ROWS),
                "decisions_per_s_16", "decisions_per_s_64", "decisions_per_s_1024"]
    assert list(rows) == expected
    assert rows["blocks"]["value"] == pytest.approx(20_000, rel=0.02)
    for name, row in rows.items():
        assert name in table, "what is written is also printed"
        assert row["value"] is None and row["reason"] or row["value"] > 0, row
    for name in INDEX_ROWS:
        assert rows[name]["baseline"] == "hash map of sets", "figures stand beside those of the same run"
        assert rows[name]["baseline_value"] == rows[f"comparison_hash_map_{name}"]["value"]
    assert {name for name, row in rows.items() if row["target"]} == set(INDEX_ROWS) - {"lookup_us_p50"}


def test_json_alone_leaves_standard_output_to_the_report():
    assert json.loads(bench(*TINY, "--json"))["rows"]
