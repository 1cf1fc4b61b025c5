"""Workers that change between prefill and decode while requests come in."""

import concurrent.futures
import itertools
import threading

import pytest

from cluster import Cluster, wait_until
from reference import generate
from texts import text


def roles(cluster):
    return {p["name"]: p["role"] for p in cluster.read()["processes"] if p["role"] in ("prefill", "decode")}


@pytest.mark.slow
def test_prefill_workers_become_decode_workers_when_tbt_is_missed_and_no_answer_changes(tmp_path):
    prompts = [text(seed, 120) for seed in range(8)]
    expected = [a["text"] for a in generate(tmp_path, "simulated", [(prompt, 12) for prompt in prompts])]
    # No step is that short: every request is predicted to break this objective, which more decode workers would help.
    flags = ("--engine", "simulated", "--prefill", "3", "--decode", "1", "--elastic", "--tbt-slo-ms", "0.1")
    with Cluster(tmp_path / "run", *flags) as cluster:
        assert sorted(roles(cluster).values()) == ["decode", "prefill", "prefill", "prefill"]
        changed = threading.Event()

        def ask_until_changed(first):
            for i in itertools.islice(itertools.cycle(range(8)), first, None):
                assert cluster.complete(prompts[i], 12)["choices"][0]["text"] == expected[i]
                if changed.wait(0.2):
                    return

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(ask_until_changed, first) for first in range(4)]
            try:
                wait_until(lambda: list(roles(cluster).values()).count("decode") > 1 or any(c.done() for c in clients),
                           150, "a worker has the other role")
                cluster.await_instances_up()
            finally:
                changed.set()
            for client in clients:
                client.result()

        assert sorted(roles(cluster).values()) == ["decode", "decode", "prefill", "prefill"]
        by_name = {i["name"]: i["role"] for i in cluster.get_json("/mooncake/cluster")["instances"]}
        assert by_name == roles(cluster), "the gateway knows what cluster.json says"
        assert "serves as decode now" in cluster.printed()

        changed_name = next(name for name, role in roles(cluster).items() if role == "decode" and name != "decode-0")
        cluster.await_restart(changed_name, cluster.kill(changed_name))
        assert roles(cluster)[changed_name] == "decode", "it comes back in the role that it had"
        cluster.await_instances_up()
        for prompt, answer in zip(prompts, expected):
            assert cluster.complete(prompt, 12)["choices"][0]["text"] == answer
