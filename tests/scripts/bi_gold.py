#!/usr/bin/env python3
"""Checks tests/cases/bi/questions.json: the gold figures against the shop, and the plugin's answers against the gold.

    python3 tests/scripts/bi_gold.py SHOP.sqlite [--pawl PAWL --config pawl.toml]

Each gold statement was written by hand, without the plugin. With --pawl, the typed question of each case (`call`) is
asked with `pawl call bi.query`; names of groups must be equal, figures may differ by half a unit of the last decimal told.
"""

import argparse
import json
import pathlib
import re
import sqlite3
import subprocess
import sys

CASES = pathlib.Path(__file__).resolve().parents[1] / "cases" / "bi" / "questions.json"

CUT = re.compile(r" \(\d+ of \d+ days\)$")


def close(a, b, tolerance=0.011):
    if a is None or b is None or a == "" or b == "":
        return a in (None, "") and b in (None, "")
    try:
        return abs(float(a) - float(b)) <= tolerance
    except ValueError:
        return str(a) == str(b)


def key(row, names):
    return tuple(str(cell) for cell in row[:names])


def agrees(gold, rows, columns, first=False):
    """Row for row by the names in front; with `first`, the first rows in their order.

    `(rest)` is not part of the gold, nor is a step of time without rows; a step that the period cuts is told with the
    days that count, such as `2026-03-30 (2 of 7 days)`.
    """
    names = sum(isinstance(cell, str) for cell in gold[0])
    rows = [[CUT.sub("", cell) for cell in row[:names]] + row[names:] for row in rows if "(rest)" not in row]
    if first:
        rows = rows[: len(gold)]
        if [key(row, names) for row in rows] != [key(row, names) for row in gold]:
            return False
    told = {key(row, names): row[names:] for row in rows}
    golden = {key(row, names) for row in gold}
    beyond = [figures for name, figures in told.items() if name not in golden]
    if len(told) != len(rows) or not all(figures and close(figures[0] or 0, 0) for figures in beyond):
        return False
    percent = [column.endswith("%)") for column in columns[names:]]
    for row in gold:
        found = told.get(key(row, names))
        if found is None or len(found) < len(row) - names:
            return False
        for want, got, is_percent in zip(row[names:], found, percent):
            if not close(want, got, 0.0501 + 0.005 if is_percent else 0.011):
                return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shop", type=pathlib.Path)
    parser.add_argument("--pawl")
    parser.add_argument("--config")
    options = parser.parse_args()
    shop = sqlite3.connect(f"{options.shop.resolve().as_uri()}?mode=ro", uri=True)
    cases = json.loads(CASES.read_text())["cases"]
    wrong = []
    for case in cases:
        found = [list(row) for row in shop.execute(case["gold_sql"])]
        if len(found) != len(case["gold"]) or not all(
            close(a, b) for row, gold in zip(found, case["gold"]) for a, b in zip(row, gold, strict=True)
        ):
            wrong.append((case["id"], "gold", found))
        if not options.pawl:
            continue
        command = [options.pawl, "call", "bi.query", "--json", json.dumps({"question": case["call"]})]
        if options.config:
            command += ["--config", options.config]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        try:
            answer = json.loads(done.stdout)
            if not agrees(case["gold"], answer["rows"], answer["columns"], "LIMIT" in case["gold_sql"]):
                wrong.append((case["id"], "answer", answer["rows"]))
        except (ValueError, KeyError):
            wrong.append((case["id"], "error", (done.stdout + done.stderr)[-400:]))
    for each in wrong:
        print(*each)
    print(f"{len(cases)} cases, {len(wrong)} wrong{'' if options.pawl else ' (gold only)'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
