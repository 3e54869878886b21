"""Compares the calendar plugin's recurrences with python-dateutil on random rules.

    pip install python-dateutil
    cargo build --release -p pawl-plugin-calendar --example calendar_lines
    python3 tests/scripts/calendar_agreement.py target/release/examples/calendar_lines [RULES] [SEED...]

Prints a summary for each seed (default 5545) and exits with 1 on any disagreement. Where dateutil departs from RFC 5545
the rule is not left out: it is written for dateutil in another form that means the same, or starts elsewhere. The words
are those of the RFC, section 3.3.10:

- BYDAY=1TU,FR. "If an integer modifier is not present, it means all days of this type within the specified frequency":
  each value of the list stands for itself, so this is the first Tuesday and every Friday. dateutil wants a day to be
  both at once and gives nothing. It is given every Friday by number: 1TU,1FR,2FR,3FR,4FR,5FR (to 53FR in a year).
- BYWEEKNO without a day. "Information, not contained in the rule, necessary to determine the various recurrence instance
  start time and dates are derived from the Start Time": the weekday of DTSTART. dateutil takes all seven days of the
  week. It is given BYDAY with that weekday.
- BYSETPOS of a weekly rule. "A set of recurrence instances starts at the beginning of the interval defined by the FREQ
  rule part", and "in a WEEKLY rule, the interval would be one week". dateutil counts the first week from DTSTART on.
  Such rules start on the first day of their week.
"""

import collections
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
        numbered = freq in ("YEARLY", "MONTHLY") and "BYWEEKNO" not in parts and chance(0.6)
        prefix = lambda: rng.choice(["1", "2", "-1", "3", "-2", "+1", "5", "-5", ""]) if numbered else ""
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
    days, departs = parts.get("BYDAY", "").split(","), "weekly BYSETPOS" if freq == "WEEKLY" and "BYSETPOS" in parts else "none"
    if len({len(day) > 2 for day in days}) == 2:
        most = 5 if freq == "MONTHLY" or "BYMONTH" in parts else 53
        parts["BYDAY"] = ",".join(day if len(day) > 2 else ",".join(f"{n}{day}" for n in range(1, most + 1)) for day in days)
        departs = "mixed BYDAY"
    if "BYWEEKNO" in parts and not parts.keys() & {"BYDAY", "BYMONTHDAY", "BYYEARDAY"}:
        parts["BYDAY"] = DAYS[start.weekday()]
        departs = "BYWEEKNO without a day"
    return start, ours, ";".join(f"{name}={value}" for name, value in parts.items()), departs


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


def compare(binary, wanted, seed):
    """How many of so many random rules disagree."""
    rng, cases, slow, written = random.Random(seed), [], 0, collections.Counter()
    while len(cases) < wanted:
        start, ours, explicit, departs = rule(rng)
        try:
            cases.append((start, ours, theirs(start, explicit)))
        except TooLong:
            slow += 1
            continue
        except ValueError as error:
            # dateutil knows beforehand that some sub-daily rules never match.
            if "rrule" not in str(error) and "combination" not in str(error):
                raise
            cases.append((start, ours, []))
        written[departs] += 1
    lines = "".join(json.dumps({"start": s.strftime("%Y%m%dT%H%M%S"), "rule": r, "most": MOST}) + "\n" for s, r, _ in cases)
    answers = subprocess.run([binary], input=lines, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(answers) == len(cases), "one answer for each rule"
    wrong = 0
    for (start, text, expected), line in zip(cases, answers):
        if json.loads(line) != expected:
            wrong += 1
            print(f"{start:%Y%m%dT%H%M%S} {text}\n  ours   {json.loads(line)}\n  theirs {expected}")
    times, empty = sum(len(expected) for _, _, expected in cases), sum(not expected for _, _, expected in cases)
    other = ", ".join(f"{count} {name}" for name, count in sorted(written.items()) if name != "none")
    print(f"seed {seed}: {len(cases) - wrong} of {len(cases)} rules agree on {times} times ({empty} rules give none)")
    print(f"  written otherwise for dateutil: {other}; drawn anew, too slow for it: {slow}")
    return wrong


def main():
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    seeds = [int(seed) for seed in sys.argv[3:]] or [5545]
    sys.exit(sum(compare(sys.argv[1], wanted, seed) for seed in seeds) > 0)


main()
