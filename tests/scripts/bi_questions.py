#!/usr/bin/env python3
"""Asks the BI plugin the questions of tests/cases/bi/questions.json through the model, and checks the figures.

    pawl serve --config pawl.toml        # a pawl.toml whose only plugin is bi, granted the sample shop
    python3 tests/scripts/bi_questions.py http://127.0.0.1:7411 SHOP.sqlite LAYER.yaml [--seconds 460] [--out FILE] [--only ID …]

Each question goes to POST /v1/chat/completions. Right is a question whose call gave the gold figures: those of the
case's SQL statement, written by hand and run here with Python's sqlite3, row for row. Where the gold is a top-n, the
first rows count. `--out` collects one line a case and lets a later run go on where the last one stopped. Invented is a
measure, a dimension or a value in a call's arguments that neither the layer nor the shop has, read here without the
plugin. Ends with 1 below 85 % or with anything invented. Needs PyYAML.
"""

import argparse
import json
import pathlib
import sqlite3
import sys
import time
import urllib.error
import urllib.request

import yaml

import bi_gold


def ask(base: str, question: str, short: bool) -> dict:
    body = {"model": "default", "messages": [{"role": "user", "content": question}], "temperature": 0}
    if short:  # what the model says after the call is not judged here: let it be brief
        body["stop"] = [" is ", " was ", " were ", " in ", " from ", "。", "："]
    request = urllib.request.Request(f"{base}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=400) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        sys.exit(f"{question}: {error.code} {error.read().decode(errors='replace')}")


def drafted(base: str, question: str) -> dict:
    """As a model would reply that copies the draft word for word."""

    def call(tool: str, arguments: dict) -> dict:
        request = urllib.request.Request(f"{base}/v1/tools/{tool}", json.dumps(arguments).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return {"result": json.load(reply)["result"]}
        except urllib.error.HTTPError as error:
            return {"error": error.read().decode(errors="replace")}

    said = call("bi.suggest", {"request": question}).get("result", "")
    calls = []
    if said.startswith("draft of the call: "):
        function, arguments = said.splitlines()[0].removeprefix("draft of the call: ").split(" ", 1)
        tool, arguments = f"bi.{function}", json.loads(arguments)
        calls = [{"tool": tool, "arguments": arguments, **call(tool, arguments)}]
    return {"pawl": {"calls": calls}, "choices": [{"message": {"content": said}}]}


def vocabulary(layer: dict, shop: sqlite3.Connection) -> tuple[set, set, set]:
    """Measures, dimensions, and what may stand in `only`: every value of every dimension, and the filters."""
    conditions = set(layer.get("filters", {}))
    for name, dimension in layer["dimensions"].items():
        table = layer["entities"][dimension["entity"]]["table"]
        for (value,) in shop.execute(f"SELECT DISTINCT {dimension['expression']} FROM {table}"):
            conditions.add(f"{name}: {'(none)' if value is None else value}")
    return set(layer["measures"]), set(layer["dimensions"]) | {"day", "week", "month", "quarter", "year"}, conditions


def invented(call: dict, known: tuple[set, set, set]) -> list[str]:
    measures, dimensions, conditions = known
    arguments = call["arguments"]
    question = arguments.get("question", arguments)
    named = question.get("measures", [question["measure"]] if "measure" in question else [])
    wrong = [name for name in named if name not in measures]
    wrong += [name for name in question.get("by") or [] if name not in dimensions]
    return wrong + [text for key in ("only", "excluding") for text in question.get(key) or [] if text not in conditions]


def answers(gold: list, result: dict, first: bool, dimensions: set) -> bool:
    """Row for row; one figure without a name may also be the only row's, or that of all rows together."""
    rows, columns = result["rows"], result["columns"]
    if bi_gold.agrees(gold, rows, columns, first):
        return True
    whole = rows[0] if len(rows) == 1 else result["total"]
    names = sum(column in dimensions for column in columns)
    return len(gold) == 1 and not isinstance(gold[0][0], str) and bool(whole) and bi_gold.agrees(gold, [whole[names:]], columns[names:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("shop", type=pathlib.Path)
    parser.add_argument("layer", type=pathlib.Path)
    parser.add_argument("--cases", type=pathlib.Path, default=bi_gold.CASES, help="other questions in the format of questions.json")
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--draft", action="store_true", help="no model: run the call that bi.suggest drafts")
    parser.add_argument("--short", action="store_true", help="cut the answer after the call short, to spare the model")
    options = parser.parse_args()
    shop = sqlite3.connect(f"{options.shop.resolve().as_uri()}?mode=ro", uri=True)
    known = vocabulary(yaml.safe_load(options.layer.read_text()), shop)
    cases = json.loads(options.cases.read_text())["cases"]
    done = {}
    if options.out and options.out.exists():
        done = {line["id"]: line for line in map(json.loads, options.out.read_text().splitlines())}
    began = time.monotonic()
    for case in cases:
        if case["id"] in done or (options.only and case["id"] not in options.only):
            continue
        if time.monotonic() - began > options.seconds:
            break
        gold = [list(row) for row in shop.execute(case["gold_sql"])]
        started = time.monotonic()
        reply = drafted(options.base, case["question"]) if options.draft else ask(options.base, case["question"], options.short)
        calls = reply["pawl"]["calls"]
        results = [call["result"] for call in calls if isinstance(call.get("result"), dict) and "rows" in call["result"]]
        right = bool(results) and answers(gold, results[-1], "LIMIT" in case["gold_sql"], known[1] | {"time"})
        line = {
            "id": case["id"], "right": right, "seconds": round(time.monotonic() - started, 1),
            "invented": [name for call in calls for name in invented(call, known)],
            "calls": [{"tool": call["tool"], "arguments": call["arguments"], "error": call.get("error")} for call in calls],
            "answer": reply["choices"][0]["message"]["content"],
        }
        done[case["id"]] = line
        print("right" if right else "WRONG", line["seconds"], case["id"], "" if right else json.dumps(line["calls"], ensure_ascii=False), flush=True)
        if options.out:
            with options.out.open("a") as out:
                out.write(json.dumps(line, ensure_ascii=False) + "\n")
    asked = [done[case["id"]] for case in cases if case["id"] in done]
    right, made_up = sum(line["right"] for line in asked), [name for line in asked for name in line["invented"]]
    print(f"{right} of {len(asked)} right ({100 * right / max(len(asked), 1):.0f} %), {len(made_up)} invented, {len(cases) - len(asked)} not asked yet")
    return 0 if right >= 0.85 * len(asked) and not made_up else 1


if __name__ == "__main__":
    sys.exit(main())
