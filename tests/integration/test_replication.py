"""A prefix that every worker uses is on more than one node, before somebody asks for it there."""

import json

from cluster import Cluster, cached_tokens, replay_decisions, reusable_tokens, wait_until
from reference import generate
from texts import text


def test_a_hot_prefix_outlives_the_node_that_computed_it(tmp_path):
    prefix, log = text(1, 300), tmp_path / "decisions.jsonl"
    question = prefix + " And on the other node?"
    expected = generate(tmp_path, "simulated", [(question, 8)])[0]["text"]
    flags = ("--engine", "simulated", "--prefill", "2", "--nodes", "2", "--replicate", "--decision-log", str(log))
    with Cluster(tmp_path / "run", *flags) as cluster:
        first, second = cluster.prefill_names()

        def ask(prompt, worker, max_tokens=1):
            return cluster.complete(prompt, max_tokens, headers={"x-mooncake-place-prefill": worker})

        def blocks_held(answer, worker):
            decision = cluster.decision(answer["headers"]["x-request-id"])["decisions"][-1]
            return next(c["local_prefix_blocks"] for c in decision["candidates"] if c["name"] == worker)

        ask(prefix + " 0", first)
        for i in range(1, 5):  # two uses for each of two workers
            assert blocks_held(ask(f"{prefix} {i}", first), second) == 0, "too early"
        wait_until(lambda: blocks_held(ask(prefix + " copied?", first), second) == len(prefix) // 64, 30,
                   f"the node of {second} holds what only {first} has computed")

        cluster.await_restart("node-0", cluster.kill("node-0"))
        answer = ask(question, second, 8)
        assert cached_tokens(answer) == reusable_tokens(len(prefix), len(question)) > 0
        assert answer["choices"][0]["text"] == expected

    replayed = replay_decisions(log, "--json")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert json.loads(replayed.stdout)["different"] == 0
    assert '"decided":[{"kind":1,' in log.read_text(), "copies are among the decisions"
