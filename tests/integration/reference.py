"""What a cluster must answer: `mooncake generate`, the model in one process."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from cluster import BINARY, SLOWDOWN


def generate(directory: Path, engine: str, prompts: list[tuple[str, int]], processes: int = 1) -> list[dict]:
    """Answers to (prompt, max_tokens) pairs, greedy: dicts with text, tokens, prompt_tokens, kv_crc32c."""
    shares = [list(range(i, len(prompts), processes)) for i in range(processes)]
    running = []
    for number, share in enumerate(shares):
        source = Path(directory) / f"requests-{number}.jsonl"
        source.write_text("".join(
            json.dumps({"prompt": prompts[i][0], "max_tokens": prompts[i][1], "temperature": 0}) + "\n" for i in share))
        running.append(subprocess.Popen([str(BINARY), "generate", "--engine", engine, "--input", str(source)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    answers: list[dict] = [{} for _ in prompts]
    for process, share in zip(running, shares):
        out, err = process.communicate(timeout=1200 * SLOWDOWN)
        assert process.returncode == 0, err
        lines = [json.loads(line) for line in out.splitlines() if line.strip()]
        assert len(lines) == len(share), f"{len(lines)} answers for {len(share)} prompts: {err}"
        for i, line in zip(share, lines):
            answers[i] = line
    return answers
