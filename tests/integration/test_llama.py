"""The llama engine behind the cluster: exactly the tokens and bytes of one process, cold and warm, alone and together."""

import concurrent.futures

import pytest

from cluster import Cluster, cached_tokens, handed_over, metric, reusable_tokens, scrape, wait_until
from reference import generate
from test_path import stream
from texts import text

#: 20 prompts of 50 to 1,500 tokens (a word and its space are about 1.1 tokens), each with 16 answer tokens.
PROMPTS = [(text(100 + i, 45 + i * 68), 16) for i in range(20)]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("generate"), "llama", PROMPTS, processes=2)


@pytest.mark.llama
def test_prompts_are_of_50_to_1500_tokens(expected):
    lengths = [e["prompt_tokens"] for e in expected]
    assert 45 <= min(lengths) <= 70 and 1300 <= max(lengths) <= 1500, lengths


def ask(cluster, expected, i, place=None):
    """Prompt `i`'s answer and cached tokens; its KVCache was that of `generate`, byte for byte."""
    headers = {"x-mooncake-place-prefill": place} if place else {}
    answer = cluster.complete(*PROMPTS[i], headers=headers)
    actual = cluster.decision(answer["headers"]["x-request-id"])["actual"]
    assert actual["kv_checksum"] == expected[i]["kv_checksum"], f"prompt {i}, place {place}: other KVCache bytes"
    return answer["choices"][0]["text"], cached_tokens(answer)


@pytest.mark.llama
def test_tokens_and_bytes_equal_one_process(expected, tmp_path):
    """Cold one by one, warm one by one, then all again eight at once; and always the KVCache bytes of `generate`."""
    with Cluster(tmp_path / "run", "--engine", "llama") as cluster:
        first, second = cluster.prefill_names()
        cold = [ask(cluster, expected, i, first) for i in range(20)]
        assert [t for t, _ in cold] == [e["text"] for e in expected]
        assert [c for _, c in cold] == [0] * 20
        warm = [ask(cluster, expected, i, second) for i in range(20)]
        assert [t for t, _ in warm] == [e["text"] for e in expected]
        assert [c for _, c in warm] == [reusable_tokens(e["prompt_tokens"], e["prompt_tokens"]) for e in expected]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            together = [t for t, _ in pool.map(lambda i: ask(cluster, expected, i), range(20))]
        assert together == [e["text"] for e in expected]

        sent, received = handed_over(cluster)
        assert sent == received > 0


@pytest.mark.llama
def test_cold_prompts_eight_at_once_equal_one_process(expected, tmp_path):
    with Cluster(tmp_path / "run", "--engine", "llama") as cluster:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda i: ask(cluster, expected, i), range(20)))
    assert [text for text, _ in answers] == [e["text"] for e in expected]
    assert [cached for _, cached in answers] == [0] * 20


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


@pytest.mark.llama
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
