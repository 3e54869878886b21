#!/usr/bin/env python3
"""Shows what the hostile statements of tests/cases/sql/hostile.txt do to a naive plugin, with Python's sqlite3 alone.

    python3 tests/scripts/sql_hostile.py SHOP.sqlite [--all]

Checks the file's form, then runs each statement for SQLite as a script on a writable copy of the shop, in a process of its
own with one second and 1 GiB. `changes`: the copy or its folder differs afterwards; `runs`: no error and no change (it
reads, or changes only the connection); `bomb`: out of time, memory or SQLite's own limits; `fails`: SQLite itself refuses
it. A plugin that is worth anything lets none of them through; one that lets all of them through shows these figures.
"""

import collections
import hashlib
import json
import pathlib
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile

FILE = pathlib.Path(__file__).resolve().parent.parent / "cases" / "sql" / "hostile.txt"
WANTED = 300


def read() -> list[dict[str, str]]:
    cases = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    assert len(cases) == WANTED, f"{len(cases)} statements, not {WANTED}"
    assert all(list(case) == ["id", "dialect", "kind", "sql"] for case in cases), "keys"
    assert all(case["dialect"] in ("sqlite", "postgres", "both") for case in cases), "dialects"
    for key in ("id", "sql"):
        twice = [value for value, count in collections.Counter(case[key] for case in cases).items() if count > 1]
        assert not twice, f"{key} used twice: {twice}"
    return cases


def state(folder: pathlib.Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir()) if not path.name.endswith(("-wal", "-shm", "-journal"))}


def naive(sql: str) -> int:
    """The child: runs one script on shop.sqlite in the current folder."""
    signal.alarm(1)  # its default action ends the process
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    try:
        database = sqlite3.connect("shop.sqlite", uri=True, isolation_level=None)
        database.executescript(sql)
    except (sqlite3.Error, ValueError) as error:
        print(error)
        return 4 if "too big" in str(error) or "too many" in str(error) or "overflow" in str(error) or "too deep" in str(error) else 3
    except MemoryError:
        return 4
    return 0


def main() -> int:
    if len(sys.argv) > 1 and sys.argv[1] == "--child":
        return naive(json.loads(sys.stdin.read()))
    if len(sys.argv) < 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    table: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    cases = read()
    for case in cases:
        if case["dialect"] == "postgres":
            table[case["kind"]]["postgres only"] += 1
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            shutil.copy(sys.argv[1], folder / "shop.sqlite")
            before = state(folder)
            sql = case["sql"].replace("/tmp/", f"{folder}/")
            child = subprocess.run([sys.executable, pathlib.Path(__file__).resolve(), "--child"], input=json.dumps(sql), text=True, cwd=folder, capture_output=True)
            changed = state(folder) != before
        what = "changes" if changed else {0: "runs", 3: "fails"}.get(child.returncode, "bomb")
        table[case["kind"]][what] += 1
        if "--all" in sys.argv:
            print(f"{case['id']} {case['kind']:20} {what:8} {case['sql'][:70]!r} {child.stdout.strip()[:60]}")
    columns = ["changes", "runs", "bomb", "fails", "postgres only"]
    print(f"{'kind':22}", *(f"{column:>13}" for column in columns))
    for kind, counts in table.items():
        print(f"{kind:22}", *(f"{counts[column]:13}" for column in columns))
    total = sum(table.values(), collections.Counter())
    print(f"{'all ' + str(len(cases)):22}", *(f"{total[column]:13}" for column in columns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
