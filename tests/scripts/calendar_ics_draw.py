"""Random .ics files for calendar_ics_agreement.py, written with the Python package icalendar.

Properties that begin with X- say for the comparison what the reader's own words do not: X-LENGTH, how DTEND or DURATION gave the
length, and X-PERIOD, the start and the length of a period among the RDATEs.

Two cases are left out, and counted under these names, for recurring-ical-events departs from RFC 5545 there or the RFC says
nothing:

- "moved onto its rule": section 3.8.5.3. "The recurrence set generated with a DTSTART property value not synchronized
  with the recurrence rule is undefined." The plugin counts such a start as the first of COUNT ("The DTSTART property value
  always counts as the first occurrence", section 3.3.10), the reader does not. With COUNT the start is one of the rule's.
- "hourly without exceptions": the reader looks an instance up by its time in UTC and by its wall time alike, so the
  EXDATE of 10:00 in Berlin (09:00 in UTC) takes the instance of 09:00 in Berlin as well. HOURLY rules in a zone get no
  EXDATE and no override.
"""

import random
import zoneinfo
from datetime import datetime, time, timedelta

from dateutil.rrule import rrulestr
from icalendar import Alarm, Calendar, Event, vCalAddress, vRecur, vText
from icalendar.prop import vDDDLists

zoneinfo.reset_tzpath(to=[])
UTC = zoneinfo.ZoneInfo("UTC")
TEXTS = ["Standup", "Kaffee, Kuchen; und \\ mehr", "项目评审会：第三季度的计划与下一步的安排，请大家准备好自己的材料" * 3, "two\nlines", 'say "hi"', "é" * 80]
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "Africa/Casablanca", "UTC", None]
# How other programs write a zone's name.
OTHER_NAMES = {
    "Europe/Berlin": "W. Europe Standard Time",
    "America/New_York": "Eastern Standard Time",
    "Asia/Shanghai": "China Standard Time",
    "Australia/Lord_Howe": "/example.org/20310101/Australia/Lord_Howe",
}
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


def zoned(wall, zone):
    return wall.replace(tzinfo=zoneinfo.ZoneInfo(zone)) if zone else wall


def seconds(moment):
    """Exact, where Python subtracts on the wall clock."""
    return moment.timestamp() if moment.tzinfo else moment.replace(tzinfo=UTC).timestamp()


def exact(start, end):
    """As X-LENGTH and X-PERIOD say it: days, seconds after them, and whether the clock changes in between."""
    return f"0 {int(seconds(end) - seconds(start))} {int(seconds(end) - seconds(start) != (end - start).total_seconds())}"


def clock_night(rng, year):
    """Often a night on which a clock changes somewhere."""
    day = rng.choice([datetime(year, 3, 6), datetime(year, 3, 22), datetime(year, 4, 1), datetime(year, 10, 1), datetime(year, 10, 22), datetime(year, 11, 1)])
    return day + timedelta(days=rng.randint(0, 9), hours=rng.randint(0, 4), minutes=rng.choice([0, 30]))


def rule(rng):
    """The parts of an RRULE without COUNT and UNTIL."""
    freq = rng.choice(["DAILY", "WEEKLY", "WEEKLY", "MONTHLY", "MONTHLY", "YEARLY", "HOURLY"])
    parts, chance = [f"FREQ={freq}"], lambda p: rng.random() < p
    days = lambda: rng.sample(DAYS, rng.randint(1, 4))
    some = lambda values: ",".join(map(str, rng.sample(values, rng.randint(1, 3))))
    if chance(0.5):
        parts.append(f"INTERVAL={rng.randint(2, 9 if freq == 'HOURLY' else 4)}")
    if chance(0.3):
        parts.append(f"WKST={rng.choice(DAYS)}")
    if freq == "WEEKLY" and chance(0.7) or freq == "DAILY" and chance(0.3):
        parts.append("BYDAY=" + ",".join(days()))
    if freq == "DAILY" and chance(0.2) or freq == "HOURLY" and chance(0.2):
        parts.append("BYMONTH=" + some(list(range(1, 13))))
    month_days = [*range(1, 32), *range(-5, 0)]
    numbered = lambda most: ",".join(str(rng.choice([n for n in range(-most, most + 1) if n])) + day for day in days())
    if freq == "MONTHLY":
        kind = rng.choice(["", "BYMONTHDAY=" + some(month_days), "BYDAY=" + numbered(5), "BYDAY=MO,TU,WE,TH,FR;BYSETPOS=" + some([1, 2, -1, -2])])
        parts.append(kind)
    if freq == "YEARLY":
        month = f"BYMONTH={some(list(range(1, 13)))};"
        week = f"BYWEEKNO={some([*range(1, 53), -1])};BYDAY=" + ",".join(days())
        kinds = ["", month + "BYMONTHDAY=" + some(month_days), month + "BYDAY=" + numbered(5), "BYDAY=" + numbered(53), "BYYEARDAY=" + some([1, 60, 100, 366, -1, -100]), week]
        parts.append(rng.choice(kinds))
    return ";".join(part for part in parts if part), freq


class Draw:
    """The events of one file; `drawn` counts what they hold."""

    def __init__(self, rng, drawn):
        self.rng, self.drawn, self.period = rng, drawn, None

    def chance(self, p, what=None):
        hit = self.rng.random() < p
        if hit and what:
            self.drawn[what] += 1
        return hit

    def wall(self):
        rng, year = self.rng, self.rng.randint(2019, 2033)
        if self.chance(0.4):
            return clock_night(rng, year)
        return datetime(year, rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23), rng.choice([0, 30]))

    def length(self, made, start, whole):
        """DTEND, DURATION or neither; X-LENGTH says for this script what it was."""
        rng, kind = self.rng, self.rng.choice(["DTEND", "DTEND", "DURATION", "DURATION", "neither"])
        self.drawn[f"{'whole day' if whole else 'clock'}, {kind}"] += 1
        if kind == "neither":
            return
        length = timedelta(days=rng.randint(1, 3)) if whole else rng.choice([timedelta(minutes=rng.randint(1, 600)), timedelta(hours=24), timedelta(days=rng.randint(1, 4), hours=rng.choice([0, 7]))])
        if kind == "DURATION":
            made.add("duration", length)
            made.add("x-length", f"{length.days} {length.seconds} 0")
        else:
            made.add("dtend", start + length)
            if not whole:
                made.add("x-length", exact(start, start + length))

    def trimmings(self, made):
        rng = self.rng
        if self.chance(0.4):
            made.add("description", rng.choice(TEXTS))
            made.add("x-own-thing", "kept: as, it; is")
            made.add("categories", ["A", "b,c"])
        if self.chance(0.3):
            who = vCalAddress("mailto:someone@example.org")
            who.params["cn"] = vText("Some One; of: us")
            made.add("attendee", who)
        if self.chance(0.3, "alarm"):
            alarm = Alarm()
            alarm.add("action", "DISPLAY")
            alarm.add("description", rng.choice(TEXTS))
            alarm.add("trigger", rng.choice([timedelta(minutes=-15), timedelta(days=-1), timedelta(0)]))
            made.add_component(alarm)

    def event(self, uid, summary):
        made = Event()
        made.add("uid", uid)
        made.add("dtstamp", datetime(2031, 1, 1, tzinfo=UTC))
        made.add("summary", summary)
        return made

    def extra(self, made, wall, zone, whole):
        """RDATE; minutes that no rule has, so that the reader's two ways of looking up never meet."""
        rng = self.rng
        walls = [wall + timedelta(days=rng.randint(1, 90), hours=rng.randint(0, 9), minutes=n) for n in range(1, rng.randint(2, 4))]
        self.drawn["RDATE"] += 1
        if whole:
            made.add("rdate", [wall.date() for wall in walls])
            return walls
        if self.chance(0.3, "RDATE of periods"):
            first = zoned(walls[0], zone)
            length = timedelta(minutes=rng.randint(5, 2000))
            prop = vDDDLists([(first, rng.choice([length, first + length]))])
            prop.params["VALUE"] = "PERIOD"
            if zone and zone != "UTC":
                prop.params["TZID"] = zone
            made.add("rdate", prop, encode=0)
            by_end = isinstance(prop.dts[0].dt[1], datetime)
            self.period = walls[0], zone, exact(first, first + length) if by_end else f"{length.days} {length.seconds} 0"
            self.add_period(made, timedelta(0))
            walls = walls[:1]
        else:
            other = zone and self.chance(0.2, "RDATE in UTC")
            made.add("rdate", [zoned(wall, zone).astimezone(UTC) if other else zoned(wall, zone) for wall in walls])
        return walls

    def add_period(self, made, shift):
        """X-PERIOD says which start has the length of a period, also where a THISANDFUTURE moves it."""
        wall, zone, length = self.period
        made.add("x-period", f"{int(seconds(zoned(wall + shift, zone)))} {length}")

    def override(self, uid, number, at, zone, whole, ranged):
        """An override of the recurrence `at`."""
        rng, made = self.rng, self.event(uid, f"override {number}")
        recurrence = at.date() if whole else zoned(at, zone)
        if ranged:
            self.drawn["THISANDFUTURE"] += 1
        elif not whole and zone and self.chance(0.3, "RECURRENCE-ID in UTC"):
            recurrence = recurrence.astimezone(UTC)
        made.add("recurrence-id", recurrence, parameters={"RANGE": "THISANDFUTURE"} if ranged else {})
        wall = at + rng.choice([timedelta(0), timedelta(days=rng.randint(-2, 2)), timedelta(days=7), timedelta(minutes=rng.randint(-600, 600))])
        if not ranged and self.chance(0.15, "override of another kind"):
            whole, zone = rng.choice([True, False]), rng.choice(ZONES)
        if ranged and self.period and self.period[0] > at:
            self.add_period(made, wall - at)
        start = wall.date() if whole else zoned(wall, zone)
        made.add("dtstart", start)
        self.length(made, start, whole)
        if self.chance(0.15, "cancelled"):
            made.add("status", "CANCELLED")
        self.drawn["override"] += 1
        self.trimmings(made)
        return made

    def events(self, uid):
        """An event and its overrides."""
        rng = self.rng
        zone, whole, wall = rng.choice(ZONES), self.chance(0.2, "whole days"), self.wall()
        self.drawn[str(zone)] += not whole
        if whole:
            wall = datetime.combine(wall.date(), time())
        made, limit, freq, text = self.event(uid, rng.choice(TEXTS)), None, None, None
        if self.chance(0.75):
            text, freq = rule(rng)
            while freq == "HOURLY" and whole:
                text, freq = rule(rng)
            self.drawn[f"RRULE {freq}"] += 1
            times = rrulestr(text, dtstart=wall)
            limit = rng.choice(["COUNT", "UNTIL", ""]) if freq != "HOURLY" else rng.choice(["COUNT", "UNTIL"])
            first = next(iter(times), None)
            if limit == "COUNT" and first != wall:
                if first is None:
                    return self.events(uid)
                self.drawn["moved onto its rule"] += 1
                wall = first
            self.drawn["start outside its rule"] += first != wall
        start = wall.date() if whole else zoned(wall, zone)
        made.add("dtstart", start)
        self.length(made, start, whole)
        known = [wall]
        if text:
            known = list(self.first_times(text, wall)) or [wall]
            if limit == "COUNT":
                text += f";COUNT={rng.randint(1, 40)}"
            if limit == "UNTIL":
                until = rng.choice([known[rng.randrange(len(known))], wall + timedelta(days=rng.randint(0, 90 if freq == "HOURLY" else 900))])
                value = f"{until:%Y%m%d}" if whole else f"{zoned(until, zone).astimezone(UTC):%Y%m%dT%H%M%SZ}" if zone else f"{until:%Y%m%dT%H%M%S}"
                text += f";UNTIL={value}"
            self.drawn[limit or "without end"] += 1
            made.add("rrule", vRecur.from_ical(text))
        if self.chance(0.25):
            # One recurrence has one override.
            known = sorted({*known, *self.extra(made, wall, zone, whole)})
        self.trimmings(made)
        parts = [made]
        if freq == "HOURLY" and zone not in (None, "UTC"):
            self.drawn["hourly without exceptions"] += 1
            return parts
        if len(known) > 1 and self.chance(0.5, "EXDATE"):
            out = rng.sample(known, min(len(known), rng.randint(1, 3)))
            in_utc = not whole and zone and self.chance(0.3, "EXDATE in UTC")
            out = [wall.date() if whole else zoned(wall, zone).astimezone(UTC) if in_utc else zoned(wall, zone) for wall in out]
            for one in [out] if self.chance(0.5) else [[one] for one in out]:
                made.add("exdate", one)
        if len(known) > 1 and self.chance(0.5):
            at = rng.sample(known, min(len(known), rng.randint(1, 3)))
            ranged = self.chance(0.3)
            parts += [self.override(uid, number, one, zone, whole, ranged and number == 0) for number, one in enumerate(at)]
            if not ranged and self.chance(0.1, "overrides alone"):
                parts = parts[1:]
            elif self.chance(0.2, "override before its event"):
                parts.reverse()
        return parts

    @staticmethod
    def first_times(text, wall):
        for number, at in enumerate(rrulestr(text, dtstart=wall)):
            if number == 12 or at > wall + timedelta(days=3000):
                return
            yield at


def file(rng, drawn):
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", "-//test//EN")
    for number in range(rng.randint(1, 10)):
        for part in Draw(rng, drawn).events(f"{number}@example.org"):
            calendar.add_component(part)
    text = calendar.to_ical()
    if rng.random() < 0.15:
        drawn["files with other names of zones"] += 1
        for name, other in OTHER_NAMES.items():
            text = text.replace(f"TZID={name}:".encode(), f"TZID={other}:".encode())
    return text
