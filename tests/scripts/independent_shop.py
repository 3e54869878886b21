#!/usr/bin/env python3
"""Independent figures of the sample shop, by Python's sqlite3 alone, to compare with what Pawl answers.

    python3 tests/scripts/independent_shop.py [SHOP.sqlite]

Without a path it reads the shop where Pawl keeps it. Amounts are summed in cents, in Python, so that neither SQL's
aggregates nor binary fractions are shared with what is checked.
"""

import argparse
import collections
import os
import pathlib
import sqlite3
import sys


def default_shop() -> pathlib.Path:
    if home := os.environ.get("PAWL_HOME"):
        return pathlib.Path(home) / "data" / "shop.sqlite"
    data = os.environ.get("XDG_DATA_HOME") or pathlib.Path.home() / ".local" / "share"
    return pathlib.Path(data) / "pawl" / "shop.sqlite"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shop", nargs="?", type=pathlib.Path, default=default_shop())
    path = parser.parse_args().shop
    if not path.is_file():
        print(f"{path} is missing; run `cargo xtask start` once, or give the path of a shop", file=sys.stderr)
        return 2
    shop = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    names = dict(shop.execute("SELECT id, name FROM customers"))
    by_customer: collections.Counter[int] = collections.Counter()
    by_quarter: collections.Counter[str] = collections.Counter()
    for customer, day, total in shop.execute("SELECT customer_id, ordered_at, total FROM orders"):
        cents = round(total * 100)
        year, month = int(day[:4]), int(day[5:7])
        by_quarter[f"{year} Q{(month + 2) // 3}"] += cents
        if year == 2025:
            by_customer[customer] += cents
    print("top three customers of 2025")
    for customer, cents in by_customer.most_common(3):
        print(f"  {names[customer]:<24} {cents / 100:>12.2f}")
    print("revenue per quarter")
    for quarter, cents in sorted(by_quarter.items()):
        print(f"  {quarter:<24} {cents / 100:>12.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
