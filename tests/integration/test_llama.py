"""The llama engine behind the cluster: exactly the tokens and bytes of one process, cold and warm, alone and together."""

import concurrent.futures

import pytest

from cluster import Cluster, cached_tokens, metric, reusable_tokens, scrape, wait_until
from reference import generate
from test_path import stream
from texts import text

pytestmark = pytest.mark.llama

#: 20 prompts of 50 to 1,500 tokens (a word and its space are about 1.1 tokens), each with 16 answer tokens.
PROMPTS = [(text(100 + i, 45 + i * 68), 16) for i in range(20)]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("generate"), "llama", PROMPTS, processes=2)


def test_prompts_are_of_50_to_1500_tokens(expected):
    lengths = [e["prompt_tokens"] for e in expected]
    assert 45 <= min(lengths) <= 70 and 1300 <= max(lengths) <= 1500, lengths


def test_tokens_and_bytes_equal_one_process(expected, tmp_path):
    """Cold one by one, warm one by one, then all again eight at once; and always the KVCache bytes of `generate`."""
    with Cluster(tmp_path / "run", "--engine", "llama") as cluster:
        first, second = cluster.prefill_names()

        def ask(i, place=None):
            headers = {"x-mooncake-place-prefill": place} if place else {}
            answer = cluster.complete(*PROMPTS[i], headers=headers)
            actual = cluster.decision(answer["headers"]["x-request-id"])["actual"]
            assert actual["kv_checksum"] == expected[i]["kv_checksum"], f"prompt {i}, place {place}: other KVCache bytes"
            return answer["choices"][0]["text"], cached_tokens(answer)

        cold = [ask(i, first) for i in range(20)]
        assert [t for t, _ in cold] == [e["text"] for e in expected]
        assert [c for _, c in cold] == [0] * 20
        warm = [ask(i, second) for i in range(20)]
        assert [t for t, _ in warm] == [e["text"] for e in expected]
        assert [c for _, c in warm] == [reusable_tokens(e["prompt_tokens"], e["prompt_tokens"]) for e in expected]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            together = [t for t, _ in pool.map(ask, range(20))]
        assert together == [e["text"] for e in expected]

        sent = sum(metric(scrape(p), "mooncake_serve_kv_bytes_sent_total") for p in cluster.processes("prefill"))
        landed = sum(metric(scrape(p), "mooncake_serve_kv_bytes_landed_total") for p in cluster.processes("decode"))
        assert sent == landed > 0


def test_eight_cold_prompts_at_once_equal_one_process(expected, tmp_path):
    with Cluster(tmp_path / "run", "--engine", "llama") as cluster:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda p: cluster.complete(*p)["choices"][0]["text"], PROMPTS[:8]))
    assert answers == [e["text"] for e in expected[:8]]


def test_a_stream_survives_its_decode_worker_unchanged(tmp_path):
    prompt = (text(900, 120), 90)
    expected = generate(tmp_path, "llama", [prompt])[0]["text"]
    with Cluster(tmp_path / "run", "--engine", "llama", "--decode", "2") as cluster:
        killed = []

        def kill_the_decoder(pieces):
            if pieces >= 40 and not killed:
                killed.extend(cluster.kill(p["name"]) for p in cluster.processes("decode")
                              if metric(scrape(p), "mooncake_serve_running_requests"))

        assert stream(cluster, *prompt, on_piece=kill_the_decoder) == expected
        assert killed


def test_a_request_survives_its_prefill_worker(tmp_path):
    prompt = PROMPTS[15]
    expected = generate(tmp_path, "llama", [prompt])[0]["text"]
    with Cluster(tmp_path / "run", "--engine", "llama") as cluster:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(cluster.complete, *prompt, headers={"x-mooncake-place-prefill": "prefill-0"})
            wait_until(lambda: metric(scrape(cluster.process_named("prefill-0")), "mooncake_serve_running_requests"), 30,
                       "the prefill runs")
            cluster.kill("prefill-0")
            assert answer.result()["choices"][0]["text"] == expected
