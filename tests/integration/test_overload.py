"""Early rejection: requests that cannot meet the SLO are refused at once, the admitted ones meet it."""

import concurrent.futures
import json
import threading
import time

import pytest

from cluster import Cluster, scrape
from texts import text

TTFT_SLO_S = 1.0


@pytest.mark.figure
def test_early_admission_refuses_fast_and_keeps_the_slo(tmp_path):
    """32 clients offer about ten times what one prefill worker (20 us a token, 12,000-token prompts) can take."""
    flags = ("--engine", "simulated", "--prefill", "1", "--admission", "early", "--ttft-slo-s", str(TTFT_SLO_S))
    with Cluster(tmp_path / "run", *flags) as cluster:
        model = cluster.model
        cluster.complete("warm up", 4)
        numbers = iter(range(10_000))
        lock, end = threading.Lock(), time.monotonic() + 8

        def client(_):
            refused, admitted = [], []
            while time.monotonic() < end:
                with lock:
                    seed = next(numbers)
                body = json.dumps({"model": model, "prompt": text(seed, 2000), "max_tokens": 2}).encode()
                status, headers, answer = cluster.request("POST", "/v1/completions", body)
                if status == 503:
                    assert int(headers["Retry-After"]) >= 1
                    error = json.loads(answer)["error"]
                    assert error["code"] and "TTFT" in error["message"]
                    refused.append(seed)
                else:
                    assert status == 200, answer
                    admitted.append(seed)
            return refused, admitted

        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            results = list(pool.map(client, range(32)))
        refused, admitted = sum(len(r) for r, _ in results), sum(len(a) for _, a in results)
        assert refused > 10 and admitted > 10, (refused, admitted)
        page = scrape(cluster.processes("gateway")[0])
    rejection_p99 = quantile(page, "mooncake_gateway_rejection_ms", 0.99)
    ttft_p99 = quantile(page, "mooncake_gateway_ttft_ms", 0.99)
    print(f"{refused} refused, p99 {rejection_p99} ms at the gateway; {admitted} admitted, TTFT p99 {ttft_p99} ms")
    assert rejection_p99 <= 20
    assert ttft_p99 <= TTFT_SLO_S * 1000



def quantile(page: str, name: str, q: float) -> float:
    """Upper bound of the histogram bucket that holds quantile `q`."""
    buckets = sorted((float("inf") if "+Inf" in line else float(line.split('le="')[1].split('"')[0]), float(line.rsplit(" ", 1)[1]))
                     for line in page.splitlines() if line.startswith(name + "_bucket"))
    total = buckets[-1][1]
    assert total > 0, f"{name} has no samples"
    return next(bound for bound, count in buckets if count >= q * total)
