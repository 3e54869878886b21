#!/usr/bin/env python3
"""Checks the gold statements of tests/cases/sql/shop.json and erp.json, with Python's sqlite3 alone.

    python3 tests/scripts/sql_gold.py SHOP.sqlite [ERP.sqlite]

Without an ERP file it writes one to a temporary folder. A case is wrong when a statement fails, gives no row with a value
that is neither NULL nor 0, depends on how ties are broken at its LIMIT or within an order that is asked for, when its
alternatives tell different figures, or when it is a near-copy of another case. Ends with 1 if any case is wrong.
"""

import collections
import difflib
import json
import pathlib
import re
import sqlite3
import sys
import tempfile
import time

import sql_erp

CASES = pathlib.Path(__file__).resolve().parent.parent / "cases"
NEAR = 0.9  # similarity of two statements or two questions above which they count as copies
AT_ONCE = 0.01  # the tolerance of `pawl eval`


def depth_zero(sql: str, word: str) -> int:
    """Where the word stands outside parentheses, the last time; -1 if nowhere."""
    depth, found = 0, -1
    for at, letter in enumerate(sql):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0 and sql.startswith(f" {word} ", at):
            found = at
    return found


def ties(database: sqlite3.Connection, sql: str, ordered: bool) -> str | None:
    """What is wrong with the statement's order: the sort key is added to its columns and its LIMIT taken away."""
    order = depth_zero(sql, "ORDER BY")
    if order < 0:
        return "LIMIT or `ordered` without ORDER BY" if ordered or depth_zero(sql, "LIMIT") >= 0 else None
    tail = re.fullmatch(r" ORDER BY (.+?)(?: (?:ASC|DESC))?(?: LIMIT (\d+))?", sql[order:])
    source = depth_zero(sql, "FROM")
    if tail is None or source < 0:
        return "an order that this check cannot read"
    key, limit = tail[1], int(tail[2] or 0)
    whole = f"{sql[:source]}, {key} AS sort_key{sql[source:order]}{sql[order:].rsplit(' LIMIT ', 1)[0]}"
    keys = [row[-1] for row in database.execute(whole)]
    reach = (limit or len(keys)) + 1
    pairs = list(zip(keys[: reach - 1], keys[1:reach]))
    if not ordered:
        pairs = pairs[limit - 1 : limit]
    near = [pair for pair in pairs if pair[0] == pair[1] or (isinstance(pair[0], float) and abs(pair[0] - pair[1]) < AT_ONCE)]
    return f"tie at sort key {near[0][0]}" if near else None


def figures(rows: list[tuple]) -> collections.Counter:
    return collections.Counter(f"{value:.2f}" for row in rows for value in row if isinstance(value, (int, float)))


def agreement(rows: list[list[tuple]]) -> str:
    """How the alternatives agree: `same` rows; only the `label` differs, or the `shape`; anything else is wrong."""
    first = rows[0]
    ways = []
    for other in rows[1:]:
        rounded = [[tuple(round(v, 2) if isinstance(v, float) else v for v in row) for row in table] for table in (first, other)]
        if sorted(rounded[0], key=repr) == sorted(rounded[1], key=repr):
            ways.append("same")
        elif len(first) == len(other) and len(first[0]) == len(other[0]) and any(
            collections.Counter(row[column] for row in rounded[0]) == collections.Counter(row[column] for row in rounded[1]) for column in range(len(first[0]))
        ):
            ways.append("label")
        elif len(first) == len(other) and not figures(first) and not figures(other) and len(set(other)) == len(other):
            ways.append("name")
        elif figures(first) == figures(other) or not (figures(other) - figures(first)):
            ways.append("shape")
        else:
            ways.append("DIFFERENT")
    return " ".join(dict.fromkeys(ways)) or "-"


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        erp = pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else pathlib.Path(folder) / "erp.sqlite"
        if len(sys.argv) == 2:
            sql_erp.write(erp)
        paths = {"shop": pathlib.Path(sys.argv[1]), "erp": erp}
        databases = {name: sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True) for name, path in paths.items()}
        return check(databases)


def check(databases: dict[str, sqlite3.Connection]) -> int:
    cases = [
        case | {"database": name}
        for name in ("shop", "erp")
        for case in json.loads((CASES / "sql" / f"{name}.json").read_text(encoding="utf-8"))["cases"]
    ]
    chat = json.loads((CASES / "chat.json").read_text(encoding="utf-8"))["cases"]
    wrong: list[str] = []
    seen: list[tuple[str, str, str]] = [(f"chat.json/{c['id']}", c["messages"][-1]["content"], (c["expect"] or {}).get("gold_sql", [""])[0]) for c in chat]
    print(f"{'case':34} {'db':4} {'gold':>4} {'rows':>4} {'cols':>4} {'ms':>5}  {'alternatives':12} first row")
    for case in cases:
        name, database = case["id"], databases[case["database"]]
        ordered = case["expect"].get("ordered", False)
        results, began = [], time.perf_counter()
        for sql in case["expect"]["gold_sql"]:
            try:
                rows = database.execute(sql).fetchall()
                tie = ties(database, sql, ordered)
            except sqlite3.Error as error:
                wrong.append(f"{name}: {error}: {sql}")
                continue
            if not any(value not in (None, 0, 0.0, "") for row in rows for value in row):
                wrong.append(f"{name}: nothing but NULL and 0: {sql}")
            if any(None in row for row in rows):
                wrong.append(f"{name}: a NULL among the values: {sql}")
            if tie:
                wrong.append(f"{name}: {tie}: {sql}")
            results.append(rows)
        took = (time.perf_counter() - began) * 1000
        if not results or not results[0]:
            continue
        agreed = agreement(results)
        if "DIFFERENT" in agreed:
            wrong.append(f"{name}: its alternatives tell different figures")
        question = case["messages"][-1]["content"]
        for other, text, sql in seen:
            for what, here, there in (("question", question, text), ("statement", case["expect"]["gold_sql"][0], sql)):
                likeness = difflib.SequenceMatcher(None, here.lower(), there.lower(), autojunk=False).ratio()
                if likeness > NEAR:
                    wrong.append(f"{name}: its {what} is a near-copy of {other} ({likeness:.2f})")
        seen.append((name, question, case["expect"]["gold_sql"][0]))
        first = ", ".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in results[0][0])
        print(f"{name:34} {case['database']:4} {len(results):4} {len(results[0]):4} {len(results[0][0]):4} {took:5.1f}  {agreed:12} {first}{' *' if ordered else ''}")
    ids = collections.Counter(case["id"] for case in cases)
    wrong += [f"{name}: the id is used {count} times" for name, count in ids.items() if count > 1]
    counts = collections.Counter(case["database"] for case in cases)
    chinese = sum(bool(re.search(r"[一-鿿]", case["messages"][-1]["content"])) for case in cases)
    print(f"{len(cases)} cases ({', '.join(f'{name} {count}' for name, count in counts.items())}; {chinese} in Chinese), {len(wrong)} faults; * order counts")
    for fault in wrong:
        print("FAULT", fault)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
