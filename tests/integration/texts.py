"""Prompts made of words, with seeds: real enough for a language model, different enough for a cache."""

from __future__ import annotations

import random

WORDS = """time year people way day man thing woman life child world school state family student group country problem
hand part place case week company system program question work government number night point home water room mother
area money story fact month lot right study book eye job word business issue side kind head house service friend
father power hour game line end member law car city community name president team minute idea kid body information
back parent face others level office door health person art war history party result change morning reason research
girl guy moment air teacher force education river mountain garden window letter music winter summer island bridge
""".split()


def text(seed: int, words: int) -> str:
    """`words` words in sentences of ten, the same for the same seed."""
    draw = random.Random(seed)
    sentences = []
    for start in range(0, words, 10):
        sentences.append(" ".join(draw.choice(WORDS) for _ in range(min(10, words - start))).capitalize() + ".")
    return " ".join(sentences)


CHAT = [
    "Write one sentence about the sea.",
    "What is the capital of France?",
    "Name three colours of the rainbow.",
    "Explain in one sentence what a cache is.",
    "Give me a short greeting for a friend.",
    "What do plants need to grow?",
    "Finish the sentence: The quick brown fox",
    "What is two plus two?",
    "Write a haiku about winter.",
    "Why is the sky blue?",
]
