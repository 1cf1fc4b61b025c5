"""The path of a request: prefill, transfer, decode, reuse across workers, and what survives kill -9.

The simulated engine's tokens depend on every byte of the KVCache before them, so equal text proves that every block
arrived whole, in place and in order.
"""

import concurrent.futures
import json
import threading

import pytest

from cluster import Cluster, alive, cached_tokens, handed_over, metric, reusable_tokens, scrape, wait_until
from reference import generate
from texts import text


def stream(cluster, prompt, max_tokens, on_piece=None, **more):
    """Text of a streamed answer; `on_piece(n)` is called after the n-th piece."""
    import urllib.request
    body = {"model": cluster.model, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0, "stream": True, **more}
    request = urllib.request.Request(cluster.url + "/v1/completions", data=json.dumps(body).encode(),
                                     headers={"content-type": "application/json"})
    pieces, ended = [], False
    with urllib.request.urlopen(request, timeout=300) as answer:
        for line in answer:
            if not line.startswith(b"data: "):
                continue
            if line.strip() == b"data: [DONE]":
                ended = True
                break
            event = json.loads(line[6:])
            assert "error" not in event, event
            pieces.append("".join(choice["text"] for choice in event["choices"]))
            if on_piece:
                on_piece(len(pieces))
    assert ended, "the stream broke off"
    return "".join(pieces)


def test_bytes_go_from_prefill_to_decode_and_both_sides_agree(tmp_path):
    with Cluster(tmp_path / "run", "--engine", "simulated") as cluster:
        for i in range(5):
            cluster.complete(text(i, 200), 8)
        sent, received = handed_over(cluster)
        assert sent == received > 0
        pids = {p["pid"] for role in ("prefill", "decode") for p in cluster.processes(role)}
        assert len(pids) == 3, "different processes"


def test_a_prefix_is_reused_on_another_worker_as_soon_as_its_answer_ended(simulated, tmp_path):
    first, second = simulated.prefill_names()[:2]
    for seed in range(20):
        prefix = text(1000 + seed, 150)
        cold = simulated.complete(prefix + " First?", 1, headers={"x-mooncake-place-prefill": first})
        warm = simulated.complete(prefix + " Second?", 4, headers={"x-mooncake-place-prefill": second})
        assert cold["headers"]["x-mooncake-prefill"] == first
        assert warm["headers"]["x-mooncake-prefill"] == second
        assert cached_tokens(warm) == reusable_tokens(len(prefix), len(prefix + " Second?")) > 0
        assert int(warm["headers"]["x-mooncake-cached-tokens"]) == cached_tokens(warm)
        expected = generate(tmp_path, "simulated", [(prefix + " Second?", 4)])[0]
        assert warm["choices"][0]["text"] == expected["text"]


def test_the_next_turn_reuses_the_blocks_that_decode_made(simulated):
    prompt = text(2000, 60)
    answer = simulated.complete(prompt, 200)["choices"][0]["text"]
    turn = prompt + answer + " And then?"
    following = simulated.complete(turn, 4)
    assert cached_tokens(following) == reusable_tokens(len(prompt) + 199, len(turn))  # the last token was never computed on


def test_steering_to_an_unknown_worker_is_refused(simulated):
    status, _, answer = simulated.request("POST", "/v1/completions", {"model": simulated.model, "prompt": "x", "max_tokens": 1},
                                          {"x-mooncake-place-prefill": "prefill-77"})
    assert status == 400 and b"prefill-77" in answer


PLACEMENTS = ["cost-min", "algorithm1", "random", "round-robin", "least-outstanding", "least-time", "local"]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_placement_serves_right_tokens(tmp_path, placement):
    prompts = [(text(3000 + i % 3, 60) + f" question {i}", 8) for i in range(12)]
    expected = generate(tmp_path, "simulated", prompts)
    with Cluster(tmp_path / "run", "--engine", "simulated", "--placement", placement) as cluster:
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda p: cluster.complete(*p)["choices"][0]["text"], prompts))
    assert answers == [e["text"] for e in expected]


def test_a_full_store_evicts_by_the_chosen_policy_and_serves_right_tokens(tmp_path):
    """Room for 64 blocks, and 20 of each prompt; every second prompt begins alike."""
    prompts = [(text(9000 + i % 2 * i, 200) + f" question {i}", 8) for i in range(40)]
    expected = generate(tmp_path, "simulated", prompts)
    flags = ("--engine", "simulated", "--pool-bytes", str(1 << 20), "--eviction", "s3fifo")
    with Cluster(tmp_path / "run", *flags) as cluster:
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda p: cluster.complete(*p), prompts))
        page = scrape(cluster.process_named("node-0"))
        assert metric(page, "mooncake_store_node_evictions_total") > 100
        assert metric(page, "mooncake_store_node_used_bytes") <= 1 << 20
        assert "evicts by s3fifo" in (cluster.run_dir / "logs/node-0.log").read_text()
    assert [answer["choices"][0]["text"] for answer in answers] == [e["text"] for e in expected]
    assert any(cached_tokens(answer) for answer in answers), "nothing was reused"


def test_a_thousand_requests_with_processes_killed_have_no_wrong_token(tmp_path):
    """64 at once over 4 prefill, 4 decode and 3 nodes; meanwhile a worker, a node and the master die by kill -9."""
    prefixes = [text(4000 + i, 80) for i in range(20)]
    prompts = [(prefixes[i % 20] + f" Question {i}: " + text(i, 8), 8) for i in range(1000)]
    expected = generate(tmp_path, "simulated", prompts, processes=8)
    flags = ("--engine", "simulated", "--prefill", "4", "--decode", "4", "--nodes", "3")
    with Cluster(tmp_path / "run", *flags) as cluster:
        served = threading.Semaphore(0)

        def ask(prompt):
            answer = cluster.complete(*prompt)["choices"][0]["text"]
            served.release()
            return answer

        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            answers = [pool.submit(ask, prompt) for prompt in prompts]
            for name, after in (("prefill-1", 150), ("node-1", 200), ("master", 200), ("decode-2", 150)):
                for _ in range(after):
                    assert served.acquire(timeout=120), f"requests stopped before {name} was killed"
                cluster.await_restart(name, cluster.kill(name))
            wrong = [i for i, answer in enumerate(answers) if answer.result() != expected[i]["text"]]
        assert wrong == [], f"{len(wrong)} of 1000 answers are wrong"


@pytest.fixture(scope="module")
def mortal(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("up") / "run", "--engine", "simulated", "--decode", "2", "--nodes", "2") as cluster:
        yield cluster


def test_a_stream_survives_its_decode_worker(mortal, tmp_path):
    prompt = (text(5000, 100), 400)
    expected = generate(tmp_path, "simulated", [prompt])[0]["text"]
    mortal.await_instances_up()
    for after in (1, 70, 250):
        killed = []

        def kill_the_decoder(pieces):
            if pieces >= after and not killed:
                busy = [p["name"] for p in mortal.processes("decode") if metric(scrape(p), "mooncake_serve_running_requests")]
                killed.extend((name, mortal.kill(name)) for name in busy)

        assert stream(mortal, *prompt, on_piece=kill_the_decoder) == expected
        assert killed
        for name, pid in killed:
            mortal.await_restart(name, pid)
        mortal.await_instances_up()


def test_a_request_survives_its_prefill_worker(mortal, tmp_path):
    prompt = (text(6000, 12_000), 8)  # about 1.4 s of prefill: killed in the middle
    expected = generate(tmp_path, "simulated", [prompt])[0]["text"]
    mortal.await_instances_up()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(mortal.complete, *prompt)

        def running():
            return [p["name"] for p in mortal.processes("prefill") if metric(scrape(p), "mooncake_serve_running_requests")]

        name = wait_until(running, 10, "a prefill runs")[0]
        pid = mortal.kill(name)
        assert answer.result()["choices"][0]["text"] == expected
    mortal.await_restart(name, pid)


def test_a_dead_node_costs_recomputing_not_requests(mortal, tmp_path):
    mortal.await_instances_up()
    prompt = (text(7000, 100), 8)
    expected = generate(tmp_path, "simulated", [prompt])[0]["text"]
    assert mortal.complete(*prompt)["choices"][0]["text"] == expected
    killed = [(p["name"], mortal.kill(p["name"])) for p in mortal.processes("node")]
    answer = mortal.complete(*prompt)
    assert answer["choices"][0]["text"] == expected and cached_tokens(answer) == 0
    for name, pid in killed:
        mortal.await_restart(name, pid)


def test_streams_go_on_and_new_requests_are_served_without_the_master(tmp_path):
    prompts = [(text(8000, 100), 300), (text(8001, 50), 8)]
    expected = generate(tmp_path, "simulated", prompts)
    with Cluster(tmp_path / "run", "--engine", "simulated", "--no-restart") as cluster:
        fresh = []

        def kill_the_master(pieces):
            if pieces == 20:
                pid = cluster.kill("master")
                wait_until(lambda: not alive(pid), 5, "the master is dead")
                fresh.append(cluster.complete(*prompts[1])["choices"][0]["text"])

        assert stream(cluster, *prompts[0], on_piece=kill_the_master) == expected[0]["text"]
        assert fresh == [expected[1]["text"]]
