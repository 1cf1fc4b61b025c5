"""What services say of their transfers at /metrics: in Prometheus' words, and the same at both ends."""

import json
import re
import subprocess

import pytest

from cluster import REPOSITORY, metric, scrape
from test_transfer import run, serve
from texts import text

SAMPLE = re.compile(r'^(mooncake_transfer_\w+?)(_bucket|_sum|_count)?\{(.*)\} (\S+)$')


def transfer_part(page: str) -> str:
    """The lines about transfers."""
    return "".join(line for line in page.splitlines(keepends=True) if "mooncake_transfer_" in line)


def families(page: str) -> dict[str, str]:
    """Metric -> type."""
    return dict(re.findall(r"^# TYPE (mooncake_transfer_\w+) (\w+)$", page, re.MULTILINE))


def histograms(page: str) -> dict[tuple[str, str], dict]:
    """(name, labels) -> its buckets as (bound, count), count and sum."""
    found = {}
    for line in page.splitlines():
        sample = SAMPLE.match(line)
        if not sample or families(page).get(sample[1]) != "histogram":
            continue
        labels = dict(re.findall(r'(\w+)="([^"]*)"', sample[3]))
        bound = labels.pop("le", None)
        row = found.setdefault((sample[1], json.dumps(labels, sort_keys=True)), {"buckets": []})
        if sample[2] == "_bucket":
            row["buckets"].append((float(bound), float(sample[4])))
        else:
            row[sample[2]] = float(sample[4])
    return found


@pytest.fixture
def pages(simulated):
    """The metrics page of each process of a cluster that has answered something."""
    for seed in range(3):
        simulated.complete(text(seed, 200), 4)
    return {p["name"]: scrape(p) for role in ("prefill", "decode", "node", "master", "gateway")
            for p in simulated.processes(role) if p.get("metrics")}


def test_counters_and_histograms_are_named_and_typed_as_prometheus_wants(pages):
    seen = {}
    for page in pages.values():
        seen |= families(page)
    assert {"mooncake_transfer_sent_bytes_total", "mooncake_transfer_received_bytes_total",
            "mooncake_transfer_written_slices_total", "mooncake_transfer_served_slices_total",
            "mooncake_transfer_retried_slices_total", "mooncake_transfer_slice_duration_seconds",
            "mooncake_transfer_batch_duration_seconds", "mooncake_transfer_call_duration_seconds"} <= seen.keys()
    for name, kind in seen.items():
        assert (kind, name.rsplit("_", 1)[1]) in {("counter", "total"), ("histogram", "seconds")}, (name, kind)


def test_promtool_finds_nothing_to_complain_about(pages):
    where = subprocess.run([REPOSITORY / "tools/promtool", "--where"], capture_output=True, text=True, check=True)
    for name, page in pages.items():
        checked = subprocess.run([where.stdout.strip(), "check", "metrics"], input=transfer_part(page), capture_output=True,
                                 text=True, timeout=60)
        assert checked.returncode == 0 and not checked.stdout + checked.stderr, f"{name}: {checked}"


def test_histograms_rise_to_their_count_and_hold_every_operation(pages):
    rows = 0
    for page in pages.values():
        for (name, labels), row in histograms(page).items():
            rows += 1
            bounds, counts = zip(*row["buckets"])
            assert list(bounds) == sorted(bounds) and bounds[-1] == float("inf") and len(bounds) == 26
            assert list(counts) == sorted(counts) and counts[-1] == row["_count"]
            assert (row["_sum"] > 0) == (row["_count"] > 0)
            if name == "mooncake_transfer_slice_duration_seconds":
                moved = sum(metric(page, f"mooncake_transfer_{way}_slices_total", **json.loads(labels))
                            for way in ("read", "written"))
                assert moved == row["_count"]
    assert rows > len(pages)


def test_labels_name_peers_transports_and_rails_only(simulated, pages):
    names = {p["name"] for role in ("prefill", "decode", "node", "master", "gateway") for p in simulated.processes(role)}
    for page in pages.values():
        for line in page.splitlines():
            if not (sample := SAMPLE.match(line)):
                continue
            labels = dict(re.findall(r'(\w+)="([^"]*)"', sample[3]))
            assert labels.keys() <= {"peer", "transport", "rail", "le"}, line
            assert labels["peer"] in names or re.fullmatch(r"127\.0\.0\.1:\d+", labels["peer"]), line
            of_a_path = re.search("slice|bytes|connections", sample[1])
            assert ("rail" in labels) == bool(of_a_path and labels["transport"] == "tcp"), line


@pytest.mark.parametrize("transport", ["auto", "tcp"])
def test_trace_shows_every_slice_with_its_beginning_and_end(tmp_path, transport):
    file = tmp_path / "trace.json"
    with serve() as server:
        done = run("transfer", "read", "--peer", server["endpoint"], "--transport", transport, "--length", str(8 << 20),
                   "--trace", str(file))
        assert done.returncode == 0 and str(file) in done.stderr and "read 8388608 bytes" in done.stdout, done
    events = json.loads(file.read_text())
    assert len(file.read_text().splitlines()) == len(events) + 2, "a line an event"
    by_phase = {phase: [e for e in events if e["ph"] == phase and e["cat"] == "slice"] for phase in "be"}
    assert sum(e["args"]["bytes"] for e in by_phase["b"]) == 8 << 20
    assert {e["id"] for e in by_phase["b"]} == {e["id"] for e in by_phase["e"]}
    assert {e["name"] for e in by_phase["e"]} == {"tcp 0 read" if transport == "tcp" else "shm read"}
    assert all(e["args"]["status"] == "ok" for e in by_phase["e"])
    assert [e["ph"] for e in events if e.get("cat") == "batch"] == ["b", "e"]
    assert [e["args"]["name"] for e in events if e["ph"] == "M"] == ["transfer-serve"]
    stamps = [e["ts"] for e in events if e["ph"] != "M"]
    assert stamps[0] == 0 and stamps == sorted(stamps)


def test_trace_that_cannot_be_written_is_an_error_that_names_the_file():
    with serve() as server:
        done = run("transfer", "read", "--peer", server["endpoint"], "--trace", "/nowhere/trace.json")
        assert done.returncode != 0 and "/nowhere/trace.json" in done.stderr, done
