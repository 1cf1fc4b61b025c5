"""Early rejection: requests that cannot meet the SLO are refused at once, the admitted ones meet it."""

import concurrent.futures
import json
import random
import threading
import time

import pytest

from cluster import Cluster, scrape
from texts import text

TTFT_SLO_S = 1.0


@pytest.mark.figure
def test_early_admission_refuses_fast_and_keeps_the_slo(tmp_path):
    """Ten times what one prefill worker can take (12,000 tokens at 20 us: 4 a second) arrives for 8 s, at random times."""
    flags = ("--engine", "simulated", "--prefill", "1", "--admission", "early", "--ttft-slo-s", str(TTFT_SLO_S))
    with Cluster(tmp_path / "run", *flags) as cluster:
        model = cluster.model
        bodies = [json.dumps({"model": model, "prompt": text(seed, 2000), "max_tokens": 2}).encode() for seed in range(320)]

        def ask(body):
            status, headers, answer = cluster.request("POST", "/v1/completions", body)
            if status == 503:
                assert int(headers["retry-after"]) >= 1
                error = json.loads(answer)["error"]
                assert error["code"] and "TTFT" in error["message"]
            else:
                assert status == 200, answer
            return status

        draw, arrival, answers = random.Random(1), time.monotonic(), []
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            for body in bodies:
                arrival += draw.expovariate(40)
                threading.Event().wait(max(0.0, arrival - time.monotonic()))
                answers.append(pool.submit(ask, body))
            statuses = [answer.result() for answer in answers]
        refused, admitted = statuses.count(503), statuses.count(200)
        assert refused > 100 and admitted > 10, (refused, admitted)
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
