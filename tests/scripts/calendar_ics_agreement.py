"""Writes random calendars with the Python package icalendar, has the calendar plugin import and export them, and compares

- what icalendar reads before and after: every property of every event, alarms included;
- when the events happen, in a window, on the clock of a user in one of several zones: as recurring-ical-events finds it in
  the file before, in the file after, and as the plugin itself lists it;
- the same for one event in each zone that Microsoft's calendars name, as icalendar knows the names;
- each VTIMEZONE that the plugin wrote, as dateutil reads it, with the zone database, over 50 years.

    pip install icalendar recurring-ical-events python-dateutil tzdata
    cargo build --release -p pawl-plugin-calendar --example calendar_ics
    python3 tests/scripts/calendar_ics_agreement.py target/release/examples/calendar_ics [FILES] [SEED...]

Prints a summary for each seed (500 files, seed 5545) and exits with 1 on any disagreement. Zones are those of the package
tzdata, never the machine's: with data of another year Africa/Casablanca is an hour off (tzdata 2026f ends its summer time).

Where recurring-ical-events departs from RFC 5545, its answer is mended or the case is left out of the draw, and counted:

- "lengths by the RFC": section 3.8.5.3. "If the duration of the recurring component is specified with the "DTEND" or "DUE"
  property, then the same exact duration will apply to all the members of the generated recurrence set. Else, if the
  duration of the recurring component is specified with the "DURATION" property, then the same nominal duration will
  apply", whose days section 3.3.6 adds first, on the calendar, and then hours, minutes and seconds, exactly. The reader
  adds all of them on the wall clock. Where the clock changes in between, the end is worked out here, and it must be what
  the plugin says.
- "duplicates": section 3.8.5.3. "Duplicate instances are ignored." Two hours of an HOURLY rule can fall onto one moment
  where the clock leaps; the reader gives both.
- "cancelled instances": STATUS:CANCELLED (section 3.8.1.11), "Indicates event was cancelled"; the reader leaves that to
  its caller.

What is left out of the draw for such a reason stands in calendar_ics_draw.py.
"""

import collections
import io
import json
import random
import subprocess
import sys
import warnings
import zoneinfo
from datetime import datetime, time, timedelta, timezone

import recurring_ical_events
from calendar_ics_draw import OTHER_NAMES, clock_night, file, seconds, zoned
from dateutil import tz
from icalendar import Calendar
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

warnings.simplefilter("ignore")
USERS = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kolkata"]
MARGIN = timedelta(days=15)


def seen(component):
    properties = sorted((name, str(value.to_ical()), str(dict(value.params))) for name, value in component.property_items(recursive=False, sorted=True) if hasattr(value, "params"))
    return component.name, properties, [seen(part) for part in component.subcomponents]


def by_uid(text):
    """What icalendar reads of each event; an event stands before its overrides."""
    events = collections.defaultdict(list)
    for part in Calendar.from_ical(text).walk("VEVENT"):
        events[str(part["UID"])].append(seen(part))
    return {uid: sorted(parts) for uid, parts in events.items()}


def end_by_the_rfc(part, start):
    """The end of an instance by the words above, and whether the clock changed in the one that it has its length from."""
    length = part.get("X-LENGTH", "0 0 0").split()
    at, *period = part.get("X-PERIOD", "0").split()
    days, rest, changed = map(int, period if int(at) == seconds(start) else length)
    return (start + timedelta(days=days)).astimezone(timezone.utc) + timedelta(seconds=rest), changed


def found_by_the_reader(text, begin, end, user, drawn):
    """What happens in a window of the user's clock, as the plugin says it: uid, title, start, end, whole day."""
    found, zone = [], zoneinfo.ZoneInfo(user)
    clock = lambda at: (at.astimezone(zone).replace(tzinfo=None) if at.tzinfo else at) if isinstance(at, datetime) else datetime.combine(at, time())
    # Wider, for the reader widens its search on the wall clock only.
    parts = recurring_ical_events.of(Calendar.from_ical(text)).between(zoned(begin - MARGIN, user), zoned(end + MARGIN, user))
    for part in parts:
        if part.get("STATUS") == "CANCELLED":
            drawn["cancelled instances"] += 1
            continue
        first, last = part["DTSTART"].dt, part["DTEND"].dt
        if isinstance(first, datetime) and first.tzinfo:
            mended, changed = end_by_the_rfc(part, first)
            if mended != last.astimezone(timezone.utc):
                offsets = {(first + timedelta(hours=hours)).utcoffset() for hours in range(-2, 130)}
                assert changed or len(offsets) > 1, f"{part['UID']}: no change of the clock between {first} and {last}"
                drawn["lengths by the RFC"] += 1
                last = mended
        first, last = clock(first), clock(last)
        if first < end and (last > begin or first >= begin):
            title = " ".join(str(part["SUMMARY"]).split())
            found.append((str(part["UID"]), title, f"{first:%Y%m%dT%H%M%S}", f"{last:%Y%m%dT%H%M%S}", not isinstance(part["DTSTART"].dt, datetime)))
    drawn["duplicates"] += len(found) - len(set(found))
    return sorted(set(found))


def difference(one, other):
    return f"only the first {sorted(set(one) - set(other))[:3]}, only the second {sorted(set(other) - set(one))[:3]}, {len(one)} and {len(other)}"


def window(rng, calendar):
    """Where a window begins: anywhere, at an event or at a change of the clock."""
    start = rng.choice([part["DTSTART"].dt for part in calendar.walk("VEVENT")])
    clock = timedelta(hours=rng.randint(0, 23), minutes=rng.choice([0, 15, 30]))
    if rng.random() < 0.3:
        return clock_night(rng, start.year + rng.randint(0, 1))
    if rng.random() < 0.5:
        return datetime(start.year, start.month, start.day) + clock - timedelta(days=rng.randint(-9, 9))
    return datetime(rng.randint(2019, 2034), rng.randint(1, 12), rng.randint(1, 28)) + clock


def listed_by_the_plugin(binary, text, begin, end, user):
    """As found_by_the_reader gives it, and what was left out."""
    arguments = [binary, "between", f"{begin:%Y%m%dT%H%M%S}", f"{end:%Y%m%dT%H%M%S}", user]
    ours = json.loads(subprocess.run(arguments, input=text, capture_output=True, check=True).stdout)
    return sorted(tuple(entry) for entry in ours["events"]), ours["notes"]


def microsofts_names(binary):
    """How many zones are another one for the plugin than for icalendar."""
    event = "BEGIN:VEVENT\r\nUID:{0}\r\nDTSTAMP:20310101T000000Z\r\nSUMMARY:{0}\r\nDTSTART;TZID={0}:20310101T120000\r\nRRULE:FREQ=DAILY;COUNT=365\r\nEND:VEVENT\r\n"
    wrong = 0
    for name in WINDOWS_TO_OLSON:
        text = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n{event.format(name)}END:VCALENDAR\r\n".encode()
        days = datetime(2030, 12, 1), datetime(2032, 2, 1), "UTC"
        theirs, (ours, notes) = found_by_the_reader(text, *days, collections.Counter()), listed_by_the_plugin(binary, text, *days)
        if theirs != ours or len(ours) != 365 or notes:
            wrong += 1
            print(f"{name}: {difference(theirs, ours)}, {notes}")
    print(f"{len(WINDOWS_TO_OLSON) - wrong} of {len(WINDOWS_TO_OLSON)} names of Microsoft's are the same zone")
    return wrong


def compare(binary, files, seed):
    """How many of so many files come back otherwise."""
    rng, drawn, zones, wrong, counts = random.Random(seed), collections.Counter(), {}, 0, collections.Counter()
    for number in range(files):
        before = file(rng, drawn)
        after = subprocess.run([binary], input=before, capture_output=True, check=True).stdout
        assert all(len(line) <= 75 for line in after.split(b"\r\n")), "a line of more than 75 octets"
        reasons = []
        one, two = by_uid(before), by_uid(after)
        counts["events"] += sum(len(parts) for parts in one.values())
        if one != two:
            reasons.append("properties: " + str(next(((one[uid], two.get(uid)) for uid in one if one[uid] != two.get(uid)), "more events")))
        exported = Calendar.from_ical(after)
        written = {str(zone["TZID"]): zone.to_ical() for zone in exported.walk("VTIMEZONE")}
        named = {value.params["TZID"] for part in exported.walk("VEVENT") for _, value in part.property_items(recursive=False) if "TZID" in getattr(value, "params", {})}
        if not named <= written.keys():
            reasons.append(f"no VTIMEZONE for {named - written.keys()}")
        zones.update(written)
        for _ in range(3):
            user, begin = rng.choice(USERS), window(rng, exported)
            end = begin + timedelta(days=rng.choice([1, 7, 30, 366]))
            original = found_by_the_reader(before, begin, end, user, drawn)
            given = found_by_the_reader(after, begin, end, user, collections.Counter())
            listed, notes = listed_by_the_plugin(binary, before, begin, end, user)
            counts["windows"] += 1
            counts["occurrences"] += len(original)
            where = f"{begin} to {end} in {user}"
            if notes:
                reasons.append(f"{where}: {notes}")
            if original != given:
                reasons.append(f"{where}: before and after: {difference(original, given)}")
            if original != listed:
                reasons.append(f"{where}: reader and plugin: {difference(original, listed)}")
        if reasons:
            wrong += 1
            print(f"file {number}:", *reasons[:4], sep="\n  ")
    checked, off = 0, 0
    for name, text in sorted(zones.items()):
        ours, theirs = tz.tzical(io.StringIO(text.decode())).get(), exported_zone(name)
        for at in (datetime(1995, 1, 1, 12) + timedelta(days=n) for n in range(0, 50 * 365, 3)):
            checked += 1
            off += ours.utcoffset(at) != at.replace(tzinfo=theirs).utcoffset()
    print(f"seed {seed}: {files - wrong} of {files} files ({counts['events']} events) come back as they went in;")
    print(f"  the same {counts['occurrences']} occurrences in {counts['windows']} windows before, after and in the plugin")
    print(f"  {len(zones)} zones written: {off} of {checked} offsets differ")
    print("  drawn: " + ", ".join(f"{count} {what}" for what, count in sorted(drawn.items())))
    assert counts["occurrences"] and checked, "nothing is compared"
    return wrong + off


def exported_zone(name):
    names = {other: own for own, other in OTHER_NAMES.items()}
    return zoneinfo.ZoneInfo(names.get(name, name))


def main():
    files = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    seeds = [int(seed) for seed in sys.argv[3:]] or [5545]
    sys.exit(microsofts_names(sys.argv[1]) + sum(compare(sys.argv[1], files, seed) for seed in seeds) > 0)


main()
