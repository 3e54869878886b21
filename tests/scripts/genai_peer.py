"""onnxruntime-genai as a peer of `cargo xtask bench llm`: a line of JSON in, a line of JSON out.

usage: genai_peer.py FOLDER THREADS, where FOLDER is a portable import of ours; its genai_config.json is written here.
A request has `messages`, `max_tokens` and perhaps `schema`; the reply tells seconds until the first token and until the end.
"""

import json
import sys
import time

import onnxruntime_genai as og


def configure(folder, threads):
    config = json.load(open(f"{folder}/config.json"))
    generation = json.load(open(f"{folder}/generation_config.json"))
    decoder = {
        "session_options": {"intra_op_num_threads": threads, "provider_options": []},
        "filename": "model.onnx",
        "head_size": config["head_dim"],
        "hidden_size": config["hidden_size"],
        "num_attention_heads": config["num_attention_heads"],
        "num_hidden_layers": config["num_hidden_layers"],
        "num_key_value_heads": config["num_key_value_heads"],
        "inputs": {
            "input_ids": "input_ids",
            "attention_mask": "attention_mask",
            "past_key_names": "past_key_values.%d.key",
            "past_value_names": "past_key_values.%d.value",
        },
        "outputs": {
            "logits": "logits",
            "present_key_names": "present.%d.key",
            "present_value_names": "present.%d.value",
        },
    }
    model = {
        "type": config["model_type"],
        "context_length": 8192,
        "bos_token_id": config.get("bos_token_id") or 0,
        "eos_token_id": generation["eos_token_id"],
        "pad_token_id": config.get("pad_token_id") or 0,
        "vocab_size": config["vocab_size"],
        "decoder": decoder,
    }
    # One buffer for past and present is its fastest way; it is as long as the longest answer needs.
    search = {"max_length": 8192, "past_present_share_buffer": True, "do_sample": False, "num_beams": 1}
    json.dump({"model": model, "search": search}, open(f"{folder}/genai_config.json", "w"))


def main():
    folder, threads = sys.argv[1], int(sys.argv[2])
    configure(folder, threads)
    model = og.Model(folder)
    tokenizer = og.Tokenizer(model)
    print(json.dumps({"version": og.__version__}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        text = tokenizer.apply_chat_template(
            messages=json.dumps(request["messages"]), add_generation_prompt=True
        )
        began = time.monotonic()
        tokens = tokenizer.encode(text)
        parameters = og.GeneratorParams(model)
        parameters.set_search_options(max_length=len(tokens) + request["max_tokens"], do_sample=False)
        if request.get("schema"):
            parameters.set_guidance("json_schema", json.dumps(request["schema"]))
        generator = og.Generator(model, parameters)
        generator.append_tokens(tokens)
        first, answer = None, []
        while not generator.is_done():
            generator.generate_next_token()
            first = first or time.monotonic() - began
            answer.append(int(generator.get_next_tokens()[0]))
        took = time.monotonic() - began
        reply = {
            "all": took,
            "first": first,
            "prompt": len(tokens),
            "completion": len(answer),
            "text": tokenizer.decode(answer),
        }
        print(json.dumps(reply), flush=True)


main()
