#!/usr/bin/env python3
"""Asks Pawl for embeddings with the official `openai` client, which takes them as base64 and gives floats.

    python3 tests/scripts/openai_embeddings.py target/release/pawl      starts a server of its own on a free port

Settings, data and port are its own; the models are those of `cargo xtask test`. Exit code 1 where a check fails.
"""

import os
import pathlib
import sys
import tempfile

import openai_client

SETTINGS = """[model]
name = "smollm2-135m-instruct-q4_1"
context = 1024
[embeddings]
name = "all-minilm-l6-v2"
[plugins]
"""


def checks(base_url: str):
    import openai

    client = openai.OpenAI(base_url=base_url, api_key="none", max_retries=0)
    model = "all-minilm-l6-v2"
    assert model in [entry.id for entry in client.models.list()]
    texts = ["How do I reset my password?", "I forgot my login and want a new one.", "The ferry leaves at nine."]
    reply = client.embeddings.create(model=model, input=texts)
    vectors = [entry.embedding for entry in reply.data]
    assert [entry.index for entry in reply.data] == [0, 1, 2] and {len(vector) for vector in vectors} == {384}
    near = lambda a, b: sum(x * y for x, y in zip(vectors[a], vectors[b]))
    assert abs(near(0, 0) - 1) < 1e-4 and near(0, 1) > near(0, 2) + 0.2, (near(0, 1), near(0, 2))
    assert reply.usage.total_tokens == reply.usage.prompt_tokens > 20
    plain = client.embeddings.create(model=model, input=texts[0], encoding_format="float").data[0].embedding
    assert max(abs(a - b) for a, b in zip(plain, vectors[0])) < 1e-5
    for wrong in ({"input": "word " * 300}, {"input": ["a", ""]}, {"input": [1, 2]}, {"input": "a", "dimensions": 12}):
        try:
            client.embeddings.create(model=model, **wrong)
        except openai.BadRequestError as error:
            print(f"refused: {error.body['message']}")
        else:
            raise AssertionError(f"{wrong} was taken")
    try:
        client.embeddings.create(model="text-embedding-3-small", input="a")
    except openai.NotFoundError as error:
        print(f"refused: {error.body['message']}")
    else:
        raise AssertionError("another model's name was taken")
    print(f"paraphrase {near(0, 1):.3f}, unrelated {near(0, 2):.3f}: all checks hold")


def main() -> int:
    python = openai_client.environment()
    if pathlib.Path(sys.prefix) != python.parent.parent:
        os.execv(python, [str(python), *sys.argv])
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        settings = pathlib.Path(folder) / "pawl.toml"
        settings.write_text(SETTINGS)
        os.environ.update(PAWL_CONFIG=str(settings), PAWL_DATA=folder)
        with openai_client.server(binary) as base_url:
            checks(base_url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
