"""Two gateways before the same workers, and a cluster whose processes are started one by one, without `mooncake up`."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import subprocess
import threading
import urllib.request

import pytest

from cluster import BINARY, SLOWDOWN, wait_until
from reference import generate
from texts import text


class Member:
    """One `mooncake ROLE` process. Killed on leaving."""

    def __init__(self, role, *flags):
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        self.process = subprocess.Popen([str(BINARY), role, "--ready-fd", str(writer), *flags], pass_fds=[writer],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(writer)
        with open(reader) as lines:
            self.ready = json.loads(lines.readline())
        assert "endpoint" in self.ready, self.ready

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Gateway(Member):
    def __init__(self, name, master):
        super().__init__("gateway", "--name", name, "--master", master, "--http", "127.0.0.1:0",
                         "--engine", "simulated")
        self.url = "http://" + self.ready["endpoint"]

    def post(self, prompt, max_tokens, **more):
        body = {"model": self.ready["model"], "prompt": prompt, "max_tokens": max_tokens, "temperature": 0, **more}
        request = urllib.request.Request(self.url + "/v1/completions", data=json.dumps(body).encode(),
                                         headers={"content-type": "application/json"})
        return urllib.request.urlopen(request, timeout=120 * SLOWDOWN)

    def complete(self, prompt, max_tokens):
        with self.post(prompt, max_tokens) as answer:
            return json.loads(answer.read())

    def instances(self):
        with urllib.request.urlopen(self.url + "/mooncake/cluster", timeout=30 * SLOWDOWN) as answer:
            return json.loads(answer.read())["instances"]


@pytest.fixture
def gateways():
    with contextlib.ExitStack() as stack:
        def start(role, name, *flags):
            return stack.enter_context(Member(role, "--name", name, *flags)).ready["endpoint"]

        master = start("master", "master")
        start("node", "node-0", "--master", master)
        for name in ("prefill-0", "prefill-1", "decode-0"):
            start("worker", name, "--master", master, "--role", name.split("-")[0], "--engine", "simulated",
                  "--node", "node-0")
        pair = [stack.enter_context(Gateway(name, master)) for name in ("gateway-0", "gateway-1")]
        for gateway in pair:
            wait_until(lambda: [i["state"] for i in gateway.instances()] == ["up"] * 3, 30, "it sees every worker")
        yield pair


def test_what_one_gateway_made_the_other_reuses(gateways):
    first, second = gateways
    prefix = text(1, 400)
    assert first.complete(prefix + " One?", 4)["usage"]["prompt_tokens_details"]["cached_tokens"] == 0

    def reused():
        # What is stored is told to gateways by the master, a moment after the answer.
        asked = second.complete(prefix + " Two?", 4)["usage"]["prompt_tokens_details"]["cached_tokens"]
        return asked if asked > 0 else None

    assert wait_until(reused, 10, "the other gateway's request reuses it") >= 256


def test_requests_through_both_at_once_get_the_right_tokens(gateways, tmp_path):
    prompts = [text(seed % 6, 60 + 20 * (seed % 6)) + f" {seed}" for seed in range(60)]
    expected = generate(tmp_path, "simulated", [(prompt, 16) for prompt in prompts])
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda i: gateways[i % 2].complete(prompts[i], 16), range(len(prompts))))
    for prompt, got, want in zip(prompts, answers, expected):
        assert got["choices"][0]["text"] == want["text"], prompt[-20:]


def test_a_gateway_that_is_killed_takes_its_requests_with_it_and_the_other_serves_on(gateways, tmp_path):
    first, second = gateways
    started = threading.Barrier(5)

    def stream_until_cut():
        with contextlib.suppress(OSError, http.client.HTTPException):
            with first.post(text(7, 50), 1500, stream=True) as answer:
                answer.readline()
                started.wait(60 * SLOWDOWN)
                answer.read()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(stream_until_cut) for _ in range(4)]
        started.wait(60 * SLOWDOWN)
        wait_until(lambda: sum(i["running"] for i in second.instances() if i["role"] == "decode") == 4, 10,
                   "the other gateway sees what they make the worker do")
        first.process.kill()
        for client in clients:
            client.result()
    wait_until(lambda: all(i["running"] == i["queued"] == i["kv_tokens_used"] == 0 for i in second.instances()), 30,
               "the workers hold nothing of the dead gateway's")
    [expected] = generate(tmp_path, "simulated", [(text(8, 90), 24)])
    assert second.complete(text(8, 90), 24)["choices"][0]["text"] == expected["text"]
