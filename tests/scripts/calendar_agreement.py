"""Compares the calendar plugin's recurrences with python-dateutil on random rules.

    pip install python-dateutil
    cargo build --release -p pawl-plugin-calendar --example calendar_lines
    python3 tests/scripts/calendar_agreement.py target/release/examples/calendar_lines [RULES] [SEED]

Where dateutil departs from RFC 5545 the rule is made explicit for it, and said here:
- BYWEEKNO without a day: the RFC derives the weekday from DTSTART, dateutil takes all seven; it is given BYDAY.
- BYSETPOS of a weekly rule: dateutil counts the first week from DTSTART on; such rules start on the week's first day.
- BYDAY=1TU,FR: the RFC's list is a union, dateutil wants both at once (and so gives nothing); no such list is drawn.
"""

import datetime
import itertools
import json
import random
import subprocess
import sys
import warnings

from dateutil.rrule import rrulestr

warnings.simplefilter("ignore")
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
MOST = 25


def some(rng, low, high, most=4, negative=False):
    values = [n for n in range(low, high + 1)] + ([-n for n in range(max(low, 1), high + 1)] if negative else [])
    return ",".join(map(str, rng.sample(values, rng.randint(1, most))))


def rule(rng):
    freq = rng.choice(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "YEARLY", "MONTHLY", "WEEKLY", "HOURLY", "MINUTELY", "SECONDLY"])
    sub_daily = freq in ("HOURLY", "MINUTELY", "SECONDLY")
    parts, chance = {"FREQ": freq}, lambda p: rng.random() < p
    if chance(0.5):
        parts["INTERVAL"] = rng.randint(1, 40 if sub_daily else 5)
    start = datetime.datetime(rng.randint(1995, 2030), rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23), rng.randint(0, 59))
    if chance(0.35):
        parts["BYMONTH"] = some(rng, 1, 12)
    if freq == "YEARLY" and chance(0.25):
        parts["BYWEEKNO"] = some(rng, 1, 52, negative=True)
    elif freq == "YEARLY" and chance(0.3) or sub_daily and chance(0.1):
        parts["BYYEARDAY"] = some(rng, 1, 365, 6, negative=True)
    if freq != "WEEKLY" and "BYWEEKNO" not in parts and chance(0.3):
        parts["BYMONTHDAY"] = some(rng, 1, 31, negative=True)
    if chance(0.4):
        numbered = freq in ("YEARLY", "MONTHLY") and "BYWEEKNO" not in parts and chance(0.5)
        prefix = lambda: rng.choice(["1", "2", "-1", "3", "-2", "+1"]) if numbered else ""
        parts["BYDAY"] = ",".join(prefix() + day for day in rng.sample(DAYS, rng.randint(1, 4)))
    if chance(0.25):
        parts["BYHOUR"] = some(rng, 0, 23)
    if chance(0.2):
        parts["BYMINUTE"] = some(rng, 0, 59)
    if chance(0.15):
        parts["BYSECOND"] = some(rng, 0, 59)
    if chance(0.4):
        parts["WKST"] = rng.choice(DAYS)
    if any(name.startswith("BY") for name in parts) and chance(0.3):
        parts["BYSETPOS"] = some(rng, 1, 5, 3, negative=True)
        if freq == "WEEKLY":
            start -= datetime.timedelta((start.weekday() - DAYS.index(parts.get("WKST", "MO"))) % 7)
    if chance(0.4):
        parts["COUNT"] = rng.randint(1, 20)
    elif chance(0.4):
        parts["UNTIL"] = (start + datetime.timedelta(rng.randint(0, 4000))).strftime("%Y%m%dT%H%M%S")
    ours = ";".join(f"{name}={value}" for name, value in parts.items())
    if "BYWEEKNO" in parts and not parts.keys() & {"BYDAY", "BYMONTHDAY", "BYYEARDAY"}:
        parts["BYDAY"] = DAYS[start.weekday()]
    return start, ours, ";".join(f"{name}={value}" for name, value in parts.items())


class TooLong(Exception):
    pass


def theirs(start, text):
    """dateutil's first times; it is slow where a rule matches seldom, so such a rule is drawn anew."""
    import signal

    def stop(*_):
        raise TooLong

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 2.0)
    try:
        end = datetime.datetime(2100, 1, 1)
        times = itertools.takewhile(lambda time: time <= end, rrulestr(text, dtstart=start))
        return [time.strftime("%Y%m%dT%H%M%S") for time in itertools.islice(times, MOST)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main():
    binary, wanted = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 500
    rng, cases, slow = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 5545), [], 0
    while len(cases) < wanted:
        start, ours, explicit = rule(rng)
        try:
            cases.append((start, ours, theirs(start, explicit)))
        except TooLong:
            slow += 1
        except ValueError as error:
            # dateutil knows beforehand that some sub-daily rules never match.
            if "rrule" not in str(error) and "combination" not in str(error):
                raise
            cases.append((start, ours, []))
    lines = "".join(json.dumps({"start": s.strftime("%Y%m%dT%H%M%S"), "rule": r, "most": MOST}) + "\n" for s, r, _ in cases)
    answers = subprocess.run([binary], input=lines, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(answers) == len(cases), "one answer for each rule"
    wrong = 0
    for (start, text, expected), line in zip(cases, answers):
        if json.loads(line) != expected:
            wrong += 1
            print(f"{start:%Y%m%dT%H%M%S} {text}\n  ours   {json.loads(line)}\n  theirs {expected}")
    empty = sum(not expected for _, _, expected in cases)
    print(f"{len(cases) - wrong} of {len(cases)} rules agree ({empty} give nothing; {slow} drawn anew, too slow for dateutil)")
    sys.exit(wrong > 0)


main()
