"""Writes 200 random calendars with the Python package icalendar, has the calendar plugin import and export them, and
compares what icalendar reads before and after: every property of every event, alarms included.

    pip install icalendar
    cargo build --release -p pawl-plugin-calendar --example calendar_ics
    python3 tests/scripts/calendar_ics_agreement.py target/release/examples/calendar_ics [SEED]
"""

import random
import subprocess
import sys
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from icalendar import Alarm, Calendar, Event, vCalAddress, vText

TEXTS = ["Standup", "Kaffee, Kuchen; und \\ mehr", "项目评审会：第三季度的计划与下一步的安排，请大家准备好自己的材料" * 3, "two\nlines", 'say "hi"', "é" * 80]
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "UTC", None]


def event(rng, number):
    made = Event()
    made.add("uid", f"{number}@example.org")
    made.add("dtstamp", datetime(2031, 1, 1, tzinfo=ZoneInfo("UTC")))
    made.add("summary", rng.choice(TEXTS))
    zone = rng.choice(ZONES)
    start = datetime(2031, rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23), 30, tzinfo=zone and ZoneInfo(zone))
    whole = rng.random() < 0.2
    made.add("dtstart", start.date() if whole else start)
    if rng.random() < 0.5:
        made.add("dtend", (start + timedelta(days=2)).date() if whole else start + timedelta(minutes=45))
    if rng.random() < 0.5:
        made.add("rrule", {"freq": "weekly", "count": rng.randint(1, 9), "byday": ["MO", "FR"]})
        if not whole:
            made.add("exdate", [start + timedelta(days=7), start + timedelta(days=14)])
    if rng.random() < 0.5:
        made.add("description", rng.choice(TEXTS))
        made.add("x-own-thing", "kept: as, it; is")
        made.add("categories", ["A", "b,c"])
    if rng.random() < 0.5:
        who = vCalAddress("mailto:someone@example.org")
        who.params["cn"] = vText("Some One; of: us")
        made.add("attendee", who)
    if rng.random() < 0.5:
        alarm = Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("description", rng.choice(TEXTS))
        alarm.add("trigger", timedelta(minutes=-15))
        made.add_component(alarm)
    return made


def seen(component):
    properties = sorted((name, str(value.to_ical()), str(dict(value.params))) for name, value in component.property_items(recursive=False, sorted=True) if hasattr(value, "params"))
    return component.name, properties, [seen(part) for part in component.subcomponents]


def main():
    binary, rng, wrong, events = sys.argv[1], random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 5545), 0, 0
    for _ in range(200):
        calendar = Calendar()
        calendar.add("version", "2.0")
        calendar.add("prodid", "-//test//EN")
        for number in range(rng.randint(1, 12)):
            calendar.add_component(event(rng, number))
        before = calendar.to_ical()
        after = subprocess.run([binary], input=before, capture_output=True, check=True).stdout
        assert all(len(line) <= 75 for line in after.split(b"\r\n")), "a line of more than 75 octets"
        one, two = [[seen(e) for e in Calendar.from_ical(text).walk("VEVENT")] for text in (before, after)]
        assert one[0][1], "nothing is compared"
        events += len(one)
        if one != two:
            wrong += 1
            print(next((a, b) for a, b in zip(one, two) if a != b) if len(one) == len(two) else (len(one), len(two)))
        named = {p.params["TZID"] for e in Calendar.from_ical(after).walk("VEVENT") for p in [e["DTSTART"]] if "TZID" in p.params}
        zones = {str(z["TZID"]) for z in Calendar.from_ical(after).walk("VTIMEZONE")}
        if not named <= zones:
            wrong += 1
            print("no VTIMEZONE for", named - zones)
    print(f"{200 - wrong} of 200 calendars ({events} events) come back as they went in")
    sys.exit(wrong > 0)


main()
