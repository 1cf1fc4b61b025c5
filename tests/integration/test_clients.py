"""Real text through the clients that people use: the Python and the npm `openai` packages, streaming and plain."""

import json
import subprocess

import openai
import pytest

from cluster import REPOSITORY, SLOWDOWN
from texts import CHAT

pytestmark = pytest.mark.llama
NODE_CLIENT = REPOSITORY / "tests/integration/node"


@pytest.fixture(scope="module")
def client(llama):
    return openai.OpenAI(base_url=llama.url + "/v1", api_key="none", timeout=120 * SLOWDOWN, max_retries=0)


def ask(client, model, question):
    return client.chat.completions.create(model=model, temperature=0, max_tokens=24, seed=1,
                                          messages=[{"role": "user", "content": question}])


@pytest.mark.parametrize("question", CHAT)
def test_python_client_streams_the_same_text_as_it_gets_whole(llama, client, question):
    whole = ask(client, llama.model, question)
    text = whole.choices[0].message.content
    assert text.strip() and whole.choices[0].finish_reason in ("stop", "length")
    assert whole.usage.completion_tokens <= 24

    pieces, finish, usage = [], None, None
    for chunk in client.chat.completions.create(model=llama.model, temperature=0, max_tokens=24, seed=1, stream=True,
                                                stream_options={"include_usage": True},
                                                messages=[{"role": "user", "content": question}]):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            pieces.append(choice.delta.content or "")
            finish = choice.finish_reason or finish
    assert "".join(pieces) == text
    assert finish == whole.choices[0].finish_reason
    assert (usage.prompt_tokens, usage.completion_tokens) == (whole.usage.prompt_tokens, whole.usage.completion_tokens)


@pytest.mark.parametrize("question, expected", [("What is 2+2?", "4"), ("Write two sentences about the moon.", "Earth")])
def test_it_answers_a_question_sensibly(llama, client, question, expected):
    assert expected in ask(client, llama.model, question).choices[0].message.content


def test_it_continues_a_sentence_with_what_the_model_knows(llama, client):
    answer = client.completions.create(model=llama.model, prompt="The capital of France is", max_tokens=8, temperature=0)
    assert "Paris" in answer.choices[0].text


def test_npm_client_agrees_with_the_python_client(llama, client):
    done = subprocess.run(["node", "ask.mjs", llama.url + "/v1", llama.model], input=json.dumps(CHAT), text=True,
                          cwd=NODE_CLIENT, capture_output=True, timeout=300 * SLOWDOWN)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert len(answers) == len(CHAT)
    for question, answer in zip(CHAT, answers):
        expected = ask(client, llama.model, question).choices[0].message.content
        assert answer["plain"] == expected, question
        assert answer["streamed"] == expected, question


def test_errors_are_the_clients_own_exceptions(llama, client):
    with pytest.raises(openai.NotFoundError) as unknown:
        ask(client, "no-such-model", "Hello")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as negative:
        client.completions.create(model=llama.model, prompt="Hello", max_tokens=-1)
    assert "max_tokens" in str(negative.value)


def test_several_choices_and_stop_strings(llama, client):
    answer = client.completions.create(model=llama.model, prompt="One, two, three,", max_tokens=16, n=3, temperature=0.9,
                                       seed=7)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.text for choice in answer.choices}) > 1, "choices are drawn apart"
    again = client.completions.create(model=llama.model, prompt="One, two, three,", max_tokens=16, n=3, temperature=0.9,
                                      seed=7)
    assert [c.text for c in again.choices] == [c.text for c in answer.choices], "a seed repeats them"

    free = client.completions.create(model=llama.model, prompt="One, two, three,", max_tokens=16, temperature=0)
    stop = free.choices[0].text[3:6]
    cut = client.completions.create(model=llama.model, prompt="One, two, three,", max_tokens=16, temperature=0, stop=stop)
    assert cut.choices[0].text == free.choices[0].text[:free.choices[0].text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"
