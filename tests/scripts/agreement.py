#!/usr/bin/env python3
"""How far an imported model agrees with llama.cpp on the same GGUF file, token by token.

    python3 tests/scripts/agreement.py [NAME ...] [--tokens 160] [--logits]

For each NAME (default: every model that has both `gguf/NAME.gguf` and `models/NAME` in PAWL_HOME, or in the cache
folder) llama.cpp decodes greedily from several prompts; our runtime is then given the same tokens and asked for its
likeliest next one at each position. Prints top-1 agreement, with --logits also the mean Kullback-Leibler divergence
KL(llama.cpp || ours) in nats, and whether both split a set of hard texts into the same tokens.

Exits 1 where a Qwen model (0.5B, 1.5B) agrees on less than 98 % of the positions or any text is split differently.
A near-tie is not an error: a disagreement is listed with llama.cpp's margin between its two likeliest tokens.

The first run makes a virtual environment with llama-cpp-python in the cache folder; it compiles for some minutes and
needs a C++ compiler. Not part of `cargo xtask test`: it measures, it needs the network once.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "pawl"
REQUIREMENTS = ["llama-cpp-python==0.3.16", "numpy"]
THRESHOLD = {"qwen2.5-coder-0.5b": 0.98, "qwen2.5-coder-1.5b": 0.98}

CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
PROMPTS = [
    CHAT.format("Write a haiku about the sea."),
    CHAT.format("Give a SQL query that counts orders per customer in 2024."),
    CHAT.format("Explain in three sentences why the sky is blue."),
    CHAT.format('Reply with a JSON object that has the keys "title", "start" and "minutes" for a meeting at noon.'),
    "The capital of France is",
    "def fibonacci(n):\n    ",
]
TEXTS = [
    "Hello, world! 12345 naïve café",
    "It's they'll WE'VE 'tis I'd; don't 'S 'Re",
    "SELECT *  FROM t WHERE a>=10;\t// 日本語 テスト 🎉👩‍👩‍👧",
    "  leading\n\n\ttabs \r\n and trailing   ",
    "a\u00a0b\u2003c\u3000d e\u0301 é Å ﬁ ſ 'ſ",
    "x=1\n\n  y = x**2 # \\u00e9 <|im_start|> <|endoftext|>",
    "٣٤٥ ½ Ⅷ ²³ 1,234,567.89e-10",
    "\U0001d54f\U00010348 \x00\x01\x7f \ufeff\u200b",
    "{\"a\":[1,2,{\"b\":null}],\"c\":\"\\\"\"}",
]


def prepared_python():
    """The interpreter of a virtual environment that has the requirements."""
    folder = CACHE / "agreement-venv"
    python = folder / "bin" / "python"
    stamp = folder / "pawl-requirements"
    wanted = "\n".join(REQUIREMENTS)
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        environment = {
            "CMAKE_ARGS": "-DLLAVA_BUILD=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF "
            "-DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_CURL=OFF",
            **os.environ,
        }
        command = [python, "-m", "pip", "install", "--quiet", *REQUIREMENTS]
        if os.name == "posix":
            command = ["nice", "-n", "19", *command]
        subprocess.run(command, check=True, env=environment)
        stamp.write_text(wanted)
    return python


class Ours:
    """The example `teacher_forced` as a process that answers a line with a line."""

    def __init__(self, home, name):
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        libraries = [path for path in sorted((home / "runtime").glob("libonnxruntime*")) if path.suffix != ".verified"]
        if not libraries:
            sys.exit(f"no ONNX Runtime in {home / 'runtime'}: run `cargo xtask start` once")
        command = [target / "release/examples/teacher_forced", libraries[-1], home / "models" / name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"teacher_forced ended with code {self.process.wait()}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Theirs:
    """llama.cpp."""

    def __init__(self, gguf):
        from llama_cpp import Llama

        self.model = Llama(str(gguf), n_ctx=2048, logits_all=False, verbose=False)

    def tokens(self, text, special):
        return self.model.tokenize(text.encode(), add_bos=False, special=special)

    def decode(self, prompt, count):
        """Greedy tokens and the logits before each."""
        import llama_cpp
        import numpy

        self.model.reset()
        end, rows, answer, following = self.model.token_eos(), [], [], prompt
        for _ in range(count):
            self.model.eval(following)
            pointer = llama_cpp.llama_get_logits_ith(self.model.ctx, -1)
            rows.append(numpy.ctypeslib.as_array(pointer, shape=(self.model.n_vocab(),)).copy())
            token = int(rows[-1].argmax())
            answer.append(token)
            if token == end:
                break
            following = [token]
        return answer, numpy.stack(rows)


def divergence(theirs, ours):
    """Mean KL(theirs || ours) over rows of logits, in nats."""
    import numpy

    def log_softmax(rows):
        rows = rows.astype(numpy.float64)
        rows -= rows.max(axis=-1, keepdims=True)
        return rows - numpy.log(numpy.exp(rows).sum(axis=-1, keepdims=True))

    p, q = log_softmax(theirs), log_softmax(ours)
    return (numpy.exp(p) * (p - q)).sum(axis=-1)


def measure(home, name, count, with_logits):
    """Prints one model's numbers; whether they are good enough."""
    import numpy

    ours, theirs = Ours(home, name), Theirs(home / "gguf" / f"{name}.gguf")
    split = [text for text in TEXTS if ours.ask(text=text)["tokens"] != theirs.tokens(text, special=False)]
    agreed, total, divergences, misses = 0, 0, [], []
    with tempfile.TemporaryDirectory() as scratch:
        for prompt in PROMPTS:
            prompt = theirs.tokens(prompt, special=True)
            answer, logits = theirs.decode(prompt, count)
            file = str(pathlib.Path(scratch) / "logits") if with_logits else None
            top = ours.ask(prompt=prompt, answer=answer, logits=file)["top"]
            for position, (mine, other) in enumerate(zip(top, answer)):
                if mine != other:
                    second, first = numpy.partition(logits[position], -2)[-2:]
                    misses.append(f"{mine} for {other} (margin {first - second:.3f})")
            agreed += sum(mine == other for mine, other in zip(top, answer))
            total += len(answer)
            if with_logits:
                mine = numpy.fromfile(file, numpy.float32).reshape(len(answer), -1)
                divergences.append(divergence(logits, mine[:, : logits.shape[1]]))
    ours.close()
    kl = f", mean KL {numpy.concatenate(divergences).mean():.5f}" if divergences else ""
    print(f"{name}: top-1 {agreed}/{total} = {agreed / total:.2%}{kl}, texts split alike {len(TEXTS) - len(split)}/{len(TEXTS)}")
    for miss in misses:
        print(f"  ours {miss}")
    for text in split:
        print(f"  split differently: {text!r}")
    needed = max((limit for prefix, limit in THRESHOLD.items() if name.startswith(prefix)), default=0.0)
    return agreed / total >= needed and not split and total >= 200


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--tokens", type=int, default=160, help="at most so many a prompt")
    parser.add_argument("--logits", action="store_true", help="also the mean KL divergence")
    arguments = parser.parse_args()
    home = pathlib.Path(os.environ.get("PAWL_HOME") or CACHE)
    try:
        import llama_cpp  # noqa: F401
    except ImportError:
        python = prepared_python()
        os.execv(python, [str(python), *sys.argv])
    found = sorted(path.stem for path in (home / "gguf").glob("*.gguf") if (home / "models" / path.stem).is_dir())
    names = arguments.names or found
    if not names:
        sys.exit(f"no model in {home}: run `cargo xtask start` once")
    build = ["cargo", "build", "--release", "--quiet", "-p", "pawl-llm", "--example", "teacher_forced"]
    subprocess.run(build, check=True, cwd=ROOT)
    good = [measure(home, name, arguments.tokens, arguments.logits) for name in names]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
