"""Bad input from clients: a clear error each, and the cluster serves on."""

import json
import socket

import pytest

from cluster import SLOWDOWN, metric, scrape, wait_until

CONTEXT_TOKENS = 131_072  # of the simulated engine, a token a byte


@pytest.fixture(autouse=True)
def serves_on(simulated):
    yield
    assert simulated.complete("after the bad input", 4)["choices"][0]["text"]


def post(cluster, body, path="/v1/completions", headers=None):
    status, _, answer = cluster.request("POST", path, body, headers)
    return status, json.loads(answer)["error"]


@pytest.mark.parametrize("body", [b"{", b"", b"[1, 2", b'{"model": "simulated", "prompt": "x"', b"\x00", b"{" * 100_000])
def test_broken_json(simulated, body):
    status, error = post(simulated, body)
    assert status == 400 and "JSON" in error["message"]


@pytest.mark.parametrize("change, mentioned", [
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": "many"}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"temperature": -1}, "temperature"),
    ({"temperature": 99}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"n": 0}, "n"),
    ({"n": 1_000_000}, "n"),
    ({"stop": [["nested"]]}, "stop"),
    ({"stream": "yes"}, "stream"),
    ({"prompt": None}, "prompt"),
    ({"prompt": {"a": 1}}, "prompt"),
    ({"prompt": ""}, "prompt"),
    ({"seed": "x"}, "seed"),
])
def test_wrong_values_name_the_field(simulated, change, mentioned):
    status, error = post(simulated, {"model": simulated.model, "prompt": "hello", "max_tokens": 4, **change})
    assert status == 400
    assert mentioned in error["message"] and error["type"] == "invalid_request_error"


@pytest.mark.parametrize("max_tokens", [2**31, 10**18])
def test_huge_max_tokens_is_cut_to_the_context(simulated, max_tokens):
    answer = simulated.complete("x" * (CONTEXT_TOKENS - 3), max_tokens)
    assert answer["usage"]["completion_tokens"] == 3 and answer["choices"][0]["finish_reason"] == "length"


def test_unknown_model(simulated):
    status, error = post(simulated, {"model": "gpt-17", "prompt": "hello"})
    assert status == 404 and error["code"] == "model_not_found" and "gpt-17" in error["message"]


def test_prompt_beyond_the_context(simulated):
    status, error = post(simulated, {"model": simulated.model, "prompt": "x" * 200_000, "max_tokens": 4})
    assert status == 400 and error["code"] == "context_length_exceeded" and str(CONTEXT_TOKENS) in error["message"]


def test_invalid_utf8(simulated):
    status, error = post(simulated, b'{"model": "simulated", "max_tokens": 4, "prompt": "\xff\xfe"}')
    assert status == 400 and "UTF-8" in error["message"]


def test_megabyte_of_headers(simulated):
    with connect(simulated) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-big: " + b"a" * (1 << 20) + b"\r\n\r\n")
        answer = receive_all(connection)
    assert answer.startswith(b"HTTP/1.1 431 ") and b"headers_too_large" in answer, answer[:300]


def test_unknown_route_and_method(simulated):
    assert simulated.request("GET", "/v1/nothing")[0] == 404
    assert simulated.request("GET", "/v1/completions")[0] == 405


def connect(cluster, receive_buffer: int = 0) -> socket.socket:
    """A TCP connection to the gateway; `receive_buffer` bytes for what it does not read, if given."""
    host, port = cluster.url.removeprefix("http://").split(":")
    connection = socket.socket()
    connection.settimeout(60 * SLOWDOWN)
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect((host, int(port)))
    return connection


def receive_all(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def raw(cluster, data: bytes):
    """Sends bytes as they are; returns (status or None if the connection was closed, everything received)."""
    with connect(cluster) as connection:
        received = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            received = receive_all(connection)
        except (ConnectionResetError, BrokenPipeError):
            pass
    return (int(received.split()[1]) if received.startswith(b"HTTP/1.1 ") else None), received


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"\r\n" * 1000, b"POST / HTTP/9.9\r\n\r\n"])
def test_bytes_that_are_not_http(simulated, data):
    status, _ = raw(simulated, data)
    assert status in (400, 404, 405, 505, None)


def running_requests(cluster) -> float:
    return sum(metric(scrape(p), "mooncake_serve_running_requests") for role in ("prefill", "decode")
               for p in cluster.processes(role))


def open_stream(cluster, max_tokens: int, choices: int = 1, receive_buffer: int = 0):
    connection = connect(cluster, receive_buffer)
    body = json.dumps({"model": cluster.model, "prompt": "a long answer", "max_tokens": max_tokens, "n": choices,
                       "stream": True}).encode()
    connection.sendall(b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                       % len(body) + body)
    assert b"data:" in connection.recv(65536) + connection.recv(65536)
    return connection


def test_client_gone_in_mid_stream_cancels_the_work(simulated):
    connection = open_stream(simulated, 100_000)
    wait_until(lambda: running_requests(simulated) == 1, 10, "the request runs")
    connection.close()
    wait_until(lambda: running_requests(simulated) == 0, 5, "its work is cancelled")


def test_a_client_that_does_not_read_is_given_up(simulated):
    """What it does not read fills the kernel's buffers and then the gateway's, which are limited: it is cut off."""
    with open_stream(simulated, 100_000, choices=8, receive_buffer=4096):
        wait_until(lambda: running_requests(simulated) == 8, 10, "its choices are computed")
        assert simulated.complete("others are served meanwhile", 4)["choices"][0]["text"]
        wait_until(lambda: running_requests(simulated) == 0, 60, "its work is cancelled while its connection is open")
