#!/usr/bin/env python3
"""Drives Pawl with the official `openai` client: tool calls, structured output, streaming, errors.

    python3 tests/scripts/openai_client.py --serve target/release/pawl      starts a server of its own on a free port
    python3 tests/scripts/openai_client.py [--base-url http://127.0.0.1:7411/v1]

Makes a virtual environment in the user's cache folder (PAWL_HOME moves it) and installs `openai` and `jsonschema`
there. The requests are in openai_requests.json: 20 functions, each the only tool of its request, and 20 schemas for
`response_format`. The server is asked; the judge is Python's jsonschema. The last line is the score, as
`tool_calls 20 of 20, response_format 20 of 20, other checks 12 of 12`; the exit code is 1 where one is short.
Whether the values are the ones that a person would give is reported too, but does not count.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = ["openai==3.54.0", "jsonschema==4.26.0"]


def environment() -> pathlib.Path:
    """The python of a virtual environment that has the packages; made where it is missing."""
    home = os.environ.get("PAWL_HOME")
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = (pathlib.Path(home) if home else pathlib.Path(cache) / "pawl") / "openai-client"
    python, stamp = folder / "bin" / "python", folder / "installed"
    if not (stamp.is_file() and stamp.read_text() == "\n".join(PACKAGES)):
        print(f"installing {', '.join(PACKAGES)} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        stamp.write_text("\n".join(PACKAGES))
    return python


@contextlib.contextmanager
def server(binary: pathlib.Path):
    """A server on a free port; gives its base URL once it says that it is ready."""
    process = subprocess.Popen([str(binary), "serve", "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            print(line, end="", file=sys.stderr)
            if line.startswith("ready on "):
                break
        else:
            raise SystemExit(f"{binary} ended before it was ready")
        # What it says later is passed on, so that a full pipe does not stop it.
        threading.Thread(target=lambda: sys.stderr.writelines(process.stderr), daemon=True).start()
        yield line.split()[2] + "/v1"
    finally:
        process.terminate()
        process.wait(timeout=60)


class Run:
    """Counts, and prints each result as it comes."""

    def __init__(self, client, model: str, only: str):
        self.client, self.model, self.only = client, model, only
        self.counts: dict[str, list[int]] = {}

    def wants(self, name: str) -> bool:
        return self.only in name

    def note(self, kind: str, name: str, wrong: str, extra: str = "", seconds: float = 0.0):
        count = self.counts.setdefault(kind, [0, 0])
        count[0] += not wrong
        count[1] += 1
        print(f"{'FAIL' if wrong else 'ok  '} {kind:<16} {name:<28} {seconds:5.1f} s  {wrong or extra}", flush=True)

    def check(self, kind: str, name: str, action):
        """Runs `action`, which gives (what is wrong, remark); an exception is what is wrong."""
        if not self.wants(name):
            return
        start = time.monotonic()
        try:
            wrong, extra = action()
        except Exception as error:  # a client that cannot read the answer is a failure of the answer
            wrong, extra = f"{type(error).__name__}: {str(error)[:300]}", ""
        self.note(kind, name, wrong, extra, time.monotonic() - start)

    def ask(self, messages, **more):
        return self.client.chat.completions.create(
            model=self.model, messages=messages, temperature=0, max_tokens=700, **more
        )


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


def tool(case: dict) -> dict:
    return {"type": "function", "function": {key: case[key] for key in ("name", "description", "parameters")}}


def choice(case: dict):
    kind = case.get("choice", "auto")
    return {"type": "function", "function": {"name": case["name"]}} if kind == "named" else kind


def wrong_call(case: dict, name, arguments, finish) -> str:
    """What is wrong with one call under the case's schema; empty where nothing is."""
    import jsonschema

    if name != case["name"]:
        return f"called {name!r}"
    if finish != "tool_calls":
        return f"finish_reason is {finish!r}"
    try:
        jsonschema.validate(json.loads(arguments), case["parameters"], cls=jsonschema.Draft202012Validator)
    except (ValueError, jsonschema.ValidationError) as error:
        return f"arguments {arguments!r}: {str(error).splitlines()[0]}"
    return ""


def same(value, wanted) -> bool:
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(same(value.get(key), wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return isinstance(value, list) and len(value) == len(wanted) and all(map(same, value, wanted))
    if isinstance(wanted, str):
        return isinstance(value, str) and value.strip().casefold() == wanted.casefold()
    return value == wanted


def tool_call(run: Run, case: dict, values: dict):
    answer = run.ask(user(case["request"]), tools=[tool(case)], tool_choice=choice(case))
    message = answer.choices[0].message
    if not message.tool_calls:
        return f"no tool_calls; content {message.content!r}", ""
    call = message.tool_calls[0]
    wrong = wrong_call(case, call.function.name, call.function.arguments, answer.choices[0].finish_reason)
    if not wrong and not call.id:
        wrong = "the call has no id"
    if wrong:
        return wrong, ""
    right = same(json.loads(call.function.arguments), case["expect"])
    values["right"] += right
    values["all"] += 1
    return "", call.function.arguments + ("" if right else f"  (values differ from {json.dumps(case['expect'])})")


def streamed_tool_call(run: Run, case: dict):
    name, arguments, finish, chunks = "", "", None, 0
    for chunk in run.ask(user(case["request"]), tools=[tool(case)], tool_choice=choice(case), stream=True):
        for part in chunk.choices:
            finish = part.finish_reason or finish
            for call in part.delta.tool_calls or []:
                if call.index != 0:
                    return f"a call of index {call.index}", ""
                name += call.function.name or ""
                arguments += call.function.arguments or ""
                chunks += 1
    return wrong_call(case, name, arguments, finish), f"{chunks} chunks: {arguments}"


def response_format(case: dict) -> dict:
    named = {"name": case["name"], "schema": case["schema"], "strict": case.get("strict", True)}
    return {"type": "json_schema", "json_schema": named}


def wrong_content(case: dict, content, finish) -> str:
    import jsonschema

    if finish != "stop":
        return f"finish_reason is {finish!r}; content {content!r}"
    try:
        jsonschema.validate(json.loads(content), case["schema"], cls=jsonschema.Draft202012Validator)
    except (TypeError, ValueError, jsonschema.ValidationError) as error:
        return f"content {content!r}: {str(error).splitlines()[0]}"
    return ""


def structured(run: Run, case: dict):
    answer = run.ask(user(case["request"]), response_format=response_format(case))
    content = answer.choices[0].message.content
    return wrong_content(case, content, answer.choices[0].finish_reason), content


def streamed_structured(run: Run, case: dict):
    content, finish, chunks, usage = "", None, 0, None
    options = {"stream": True, "stream_options": {"include_usage": True}}
    for chunk in run.ask(user(case["request"]), response_format=response_format(case), **options):
        usage = chunk.usage or usage
        for part in chunk.choices:
            finish = part.finish_reason or finish
            if part.delta.content:
                content += part.delta.content
                chunks += 1
    wrong = wrong_content(case, content, finish)
    if not wrong and (usage is None or usage.completion_tokens <= 0):
        wrong = "include_usage gave no usage"
    return wrong, f"{chunks} chunks: {content}"


def no_call_where_none_is_allowed(run: Run, case: dict):
    answer = run.ask(user(case["request"]), tools=[tool(case)], tool_choice="none")
    message = answer.choices[0].message
    if message.tool_calls:
        return f"tool_calls: {message.tool_calls[0].function.name}", ""
    return ("" if message.content else "no content"), str(message.content)[:80]


def an_answer_after_the_result(run: Run, case: dict):
    messages = user(case["request"])
    first = run.ask(messages, tools=[tool(case)], tool_choice="required").choices[0].message
    call = first.tool_calls[0]
    messages.append(first.model_dump(exclude_none=True))
    result = {"location": "Lisbon", "temperature": 18, "unit": "celsius", "sky": "clear"}
    messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
    message = run.ask(messages, tools=[tool(case)]).choices[0].message
    if message.tool_calls:
        return f"calls {message.tool_calls[0].function.name} again", ""
    return ("" if "18" in (message.content or "") else f"18 is not in {message.content!r}"), str(message.content)[:80]


def small_talk_calls_nothing(run: Run, case: dict):
    message = run.ask(user("Hello, how are you?"), tools=[tool(case)]).choices[0].message
    return ("calls a tool" if message.tool_calls else "" if message.content else "no content"), str(message.content)[:80]


def two_tools_the_right_one(run: Run, cases: list[dict]):
    answer = run.ask(user(cases[1]["request"]), tools=[tool(case) for case in cases])
    calls = answer.choices[0].message.tool_calls or []
    if not calls:
        return "no tool_calls", ""
    function = calls[0].function
    return wrong_call(cases[1], function.name, function.arguments, answer.choices[0].finish_reason), function.name


def refused(expected, words: list[str], action):
    """That `action` raises `expected` with an error in OpenAI's shape that holds the words."""
    try:
        action()
    except expected as error:
        if not isinstance(error.body, dict) or not error.body.get("message"):
            return f"the error is not of OpenAI's shape: {error.body!r}", ""
        message = error.body["message"]
        missing = [word for word in words if word not in message]
        return (f"{missing} not in {message!r}" if missing else ""), message[:120]
    return "was not refused", ""


def errors(run: Run):
    import openai

    hello = user("Hello")
    bad_schema = {"type": "object", "properties": {"a": {"type": "string", "not": {"const": "x"}}}, "required": ["a"]}
    bad_tool = {"type": "function", "function": {"name": "broken", "description": "x", "parameters": bad_schema}}
    create = run.client.chat.completions.create
    table = [
        ("unknown model", openai.NotFoundError, ["no-such-model"], lambda: create(model="no-such-model", messages=hello)),
        ("no messages", openai.BadRequestError, ["messages"], lambda: run.ask([])),
        ("unknown role", openai.BadRequestError, [], lambda: run.ask([{"role": "robot", "content": "Hello"}])),
        ("temperature of 9", openai.BadRequestError, ["temperature"],
         lambda: create(model=run.model, messages=hello, temperature=9)),
        ("schema not supported", openai.BadRequestError, ["not"],
         lambda: run.ask(hello, tools=[bad_tool], tool_choice="required")),
        ("prompt past the context", openai.BadRequestError, [], lambda: run.ask(user("word " * 60_000))),
        ("tool choice unknown", openai.NotFoundError, ["nothing"],
         lambda: run.ask(hello, tools=[tool(REQUESTS["tools"][0])],
                         tool_choice={"type": "function", "function": {"name": "nothing"}})),
    ]
    for name, expected, words, action in table:
        run.check("error", name, lambda: refused(expected, words, action))


REQUESTS = json.loads((HERE / "openai_requests.json").read_text(encoding="utf-8"))


def drive(base_url: str, model: str | None, only: str) -> int:
    import openai

    client = openai.OpenAI(base_url=base_url, api_key="not-needed", max_retries=0, timeout=600)
    run = Run(client, model or client.models.list().data[0].id, only)
    tools, formats = REQUESTS["tools"], REQUESTS["formats"]
    values = {"right": 0, "all": 0}
    for case in tools:
        run.check("tool_calls", case["name"], lambda: tool_call(run, case, values))
    for case in formats:
        run.check("response_format", case["name"], lambda: structured(run, case))
    for case in (tools[0], tools[3], tools[17]):
        run.check("streamed call", case["name"], lambda: streamed_tool_call(run, case))
    for case in (formats[0], formats[3], formats[19]):
        run.check("streamed format", case["name"], lambda: streamed_structured(run, case))
    run.check("other", "tool_choice none", lambda: no_call_where_none_is_allowed(run, tools[0]))
    run.check("other", "answer after the result", lambda: an_answer_after_the_result(run, tools[0]))
    run.check("other", "small talk calls nothing", lambda: small_talk_calls_nothing(run, tools[0]))
    run.check("other", "two tools, the right one", lambda: two_tools_the_right_one(run, [tools[0], tools[3]]))
    errors(run)

    print(f"\nvalues as expected in {values['right']} of {values['all']} valid calls (reported, not required)")
    main = {kind: run.counts.pop(kind, [0, 0]) for kind in ("tool_calls", "response_format")}
    rest = [sum(count[index] for count in run.counts.values()) for index in (0, 1)]
    scores = [f"{kind} {right} of {of}" for kind, (right, of) in main.items()]
    print(", ".join([*scores, f"other checks {rest[0]} of {rest[1]}"]))
    return int(any(right < of for right, of in [*main.values(), rest]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", default="http://127.0.0.1:7411/v1")
    parser.add_argument("--serve", type=pathlib.Path, metavar="PAWL", help="start this binary instead of --base-url")
    parser.add_argument("--model", help="default: the first that the server lists")
    parser.add_argument("--only", default="", metavar="TEXT", help="only requests whose name holds this")
    options = parser.parse_args()
    python = environment()
    if pathlib.Path(sys.prefix) != python.parent.parent:
        return subprocess.run([str(python), __file__, *sys.argv[1:]]).returncode
    if options.serve:
        with server(options.serve) as base_url:
            return drive(base_url, options.model, options.only)
    return drive(options.base_url, options.model, options.only)


if __name__ == "__main__":
    sys.exit(main())
