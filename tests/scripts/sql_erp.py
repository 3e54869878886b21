#!/usr/bin/env python3
"""Writes the ERP database of tests/cases/sql (erp.sql, 40 tables) with the same rows on every machine.

    python3 tests/scripts/sql_erp.py OUT.sqlite

Only `random.Random.random` is drawn from, whose sequence Python promises to keep for a seed, so that gold results stay
the same under every version. Names are syllables put together; no person or company is meant. The last business day is
2026-11-20 (a Friday), since the questions are asked on Monday, 2026-11-23.
"""

import datetime
import pathlib
import random
import sqlite3
import sys

SCHEMA = pathlib.Path(__file__).resolve().parent.parent / "cases" / "sql" / "erp.sql"
FIRST, LAST = datetime.date(2025, 1, 1), datetime.date(2026, 11, 20)

rng = random.Random(20261123)


def whole(low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return low + int(rng.random() * (high - low + 1))


def amount(low: float, high: float, digits: int = 2) -> float:
    return round(low + rng.random() * (high - low), digits)


def pick(choices):
    return choices[int(rng.random() * len(choices))]


def weighted(pairs):
    """One of the names of `{name: weight}`."""
    at = rng.random() * sum(pairs.values())
    for name, weight in pairs.items():
        at -= weight
        if at < 0:
            return name
    return name


def chance(share: float) -> bool:
    return rng.random() < share


def plus(day: datetime.date, days: int) -> datetime.date:
    return day + datetime.timedelta(days=days)


def day_between(first: datetime.date, last: datetime.date) -> datetime.date:
    return plus(first, whole(0, (last - first).days))


def workday(first: datetime.date = FIRST, last: datetime.date = LAST) -> datetime.date:
    while True:
        day = day_between(first, last)
        if day.weekday() < 5:
            return day


def moment(day: datetime.date, first_hour: int = 6, last_hour: int = 21) -> str:
    return f"{day} {whole(first_hour, last_hour):02}:{whole(0, 59):02}"


def past(day: datetime.date | None) -> str | None:
    """The day as text, or None while it has not come."""
    return str(day) if day is not None and day <= LAST else None


class Names:
    """Invented names, each given out once."""

    HEADS = "Bar Cel Dov Fen Gil Hal Jor Kes Lom Mer Nav Or Pel Quil Ras Sol Tam Ulv Ves Wim Yor Zan".split()
    TAILS = "adin ebro ikka olm urra anto ested ivar omir uneth astel enko".split()

    def __init__(self) -> None:
        self.given: set[str] = set()

    def word(self) -> str:
        return pick(self.HEADS) + pick(self.TAILS)

    def once(self, make) -> str:
        while True:
            name = make()
            if name not in self.given:
                self.given.add(name)
                return name


class Plant:
    """The rows of all tables, made in the order in which they depend on each other."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple]] = {}
        self.names = Names()

    def add(self, table: str, *values) -> None:
        self.rows.setdefault(table, []).append(values)

    def next_id(self, table: str) -> int:
        return len(self.rows.get(table, ())) + 1

    def new(self, table: str, *values) -> int:
        """Adds a row with the next id and returns the id."""
        number = self.next_id(table)
        self.add(table, number, *values)
        return number

    # -- master data ------------------------------------------------------------------------------------------------

    RATES = {"EUR": 1.0, "USD": 0.92, "CNY": 0.127, "GBP": 1.17, "CZK": 0.0398, "SEK": 0.0882}

    def money(self) -> None:
        for code, name in zip(self.RATES, ["Euro", "US dollar", "Renminbi", "Pound sterling", "Czech koruna", "Swedish krona"]):
            self.add("currencies", code, name)
        self.rate = {}
        for code, base in self.RATES.items():
            for index in range(23):
                month = f"{2025 + index // 12}-{index % 12 + 1:02}"
                self.rate[code, month] = 1.0 if code == "EUR" else round(base * (0.96 + 0.08 * rng.random()), 5)
                self.add("exchange_rates", code, month, self.rate[code, month])

    DEPARTMENTS = [("MGT", "Management", None), ("SAL", "Sales", 1), ("PUR", "Purchasing", 1), ("OPS", "Operations", 1),
                   ("MAC", "Machining", 4), ("ASM", "Assembly", 4), ("QA", "Quality Assurance", 4), ("MNT", "Maintenance", 4),
                   ("LOG", "Logistics", 4), ("FIN", "Finance", 1), ("IT", "Information Technology", 10), ("HR", "Human Resources", 1),
                   ("ENG", "Engineering", 1), ("SRV", "Customer Service", 2)]
    STAFF = {5: 46, 6: 52, 9: 26, 7: 18, 8: 16, 2: 20, 14: 17, 3: 11, 13: 22, 10: 9, 11: 8, 12: 6, 1: 4, 4: 5}
    TITLES = {5: ["machinist", "CNC programmer", "setter"], 6: ["assembler", "line lead", "tester"], 9: ["storekeeper", "forklift driver", "dispatcher"],
              7: ["quality inspector", "quality engineer"], 8: ["maintenance technician", "electrician"], 2: ["account manager", "sales assistant"],
              14: ["service agent", "field engineer"], 3: ["buyer", "strategic buyer"], 13: ["design engineer", "process engineer"], 10: ["accountant", "controller"],
              11: ["system administrator", "developer"], 12: ["recruiter", "payroll clerk"], 1: ["managing director", "assistant"], 4: ["production planner"]}

    def people(self) -> None:
        for index, (code, name, parent) in enumerate(self.DEPARTMENTS):
            self.new("departments", code, name, parent, str(4100 + 10 * index))
        self.by_department: dict[int, list[int]] = {}
        self.left: dict[int, datetime.date] = {}
        for department, count in self.STAFF.items():
            for place in range(count):
                name = self.names.once(lambda: f"{self.names.word()} {self.names.word()}")
                title = "head of department" if place == 0 else pick(self.TITLES[department])
                hired = day_between(datetime.date(2008, 1, 1), datetime.date(2026, 10, 1)) if place > 2 else day_between(datetime.date(2008, 1, 1), datetime.date(2020, 1, 1))
                left = day_between(max(hired, FIRST), plus(LAST, 0)) if place > 2 and chance(0.13) else None
                head = self.by_department[department][0] if place else None
                number = self.new("employees", f"E{1000 + self.next_id('employees')}", name, department, title, str(hired), str(left) if left else None,
                                  amount(62, 95) if place == 0 else amount(27, 58), head)
                if left:
                    self.left[number] = left
                self.by_department.setdefault(department, []).append(number)
        for shift in [("Early", "06:00", "14:00", 0.0), ("Late", "14:00", "22:00", 10.0), ("Night", "22:00", "06:00", 25.0), ("Day", "08:00", "16:30", 0.0)]:
            self.new("shifts", *shift)
        hired_on = {row[0]: row[5] for row in self.rows["employees"]}
        plant = [e for d in (5, 6, 9) for e in self.by_department[d]]
        for day in sorted({workday(datetime.date(2026, 6, 1)) for _ in range(60)}):
            for employee in plant:
                if hired_on[employee] <= str(day) and self.left.get(employee, LAST) >= day and chance(0.62):
                    extra = pick([0.5, 1.0, 1.5, 2.0]) if chance(0.14) else 0.0
                    self.new("shift_assignments", employee, whole(1, 4 if employee % 5 == 0 else 3), str(day), 8.0 + extra, extra)
        for day in sorted(workday() for _ in range(900)):
            employee = whole(1, len(hired_on))
            if hired_on[employee] <= str(day) and self.left.get(employee, LAST) >= day:
                kind = weighted({"vacation": 5, "sick": 4, "training": 1.2, "parental": 0.15})
                self.new("absences", employee, kind, str(day), {"vacation": whole(1, 15), "sick": whole(1, 9), "training": whole(1, 4), "parental": whole(20, 60)}[kind])

    GROUPS = ["Raw material", "Castings", "Fasteners", "Seals", "Electronics", "Motors", "Bearings", "Subassemblies", "Pumps", "Valves", "Packaging", "Consumables"]
    THINGS = {1: ["Steel bar", "Brass rod", "Stainless sheet", "Aluminium block"], 2: ["Pump casing", "Valve body", "Impeller blank"], 3: ["Hex bolt", "Stud", "Locknut", "Washer"],
              4: ["O-ring", "Shaft seal", "Gasket"], 5: ["Control board", "Pressure sensor", "Cable harness"], 6: ["Motor", "Servo drive"], 7: ["Ball bearing", "Sleeve bearing"],
              8: ["Rotor unit", "Bearing carrier", "Actuator unit"], 9: ["Centrifugal pump", "Dosing pump", "Gear pump"], 10: ["Ball valve", "Check valve", "Control valve"],
              11: ["Carton", "Pallet"], 12: ["Cutting oil", "Abrasive disc"]}
    COSTS = {1: (2, 9), 2: (18, 95), 3: (0.04, 0.9), 4: (0.4, 7), 5: (9, 120), 6: (60, 420), 7: (3, 38), 8: (55, 260), 9: (240, 1450), 10: (70, 620), 11: (0.8, 14), 12: (2, 19)}
    COUNTS = {1: 24, 2: 36, 3: 40, 4: 38, 5: 30, 6: 20, 7: 22, 8: 40, 9: 32, 10: 36, 11: 12, 12: 10}

    def items(self) -> None:
        for name in self.GROUPS:
            self.new("part_groups", name)
        self.parts: dict[int, list[int]] = {}
        self.cost, self.price = {}, {}
        for group, count in self.COUNTS.items():
            for place in range(count):
                cost = amount(*self.COSTS[group])
                sold = group in (9, 10)
                number = self.new("parts", f"{group:02}-{4000 + 7 * place}", f"{pick(self.THINGS[group])} {pick('DN CX HL RT MK'.split())}{whole(10, 99)}", group, "make" if group in (8, 9, 10) else "buy",
                                  {1: "kg", 12: "kg"}.get(group, "m" if group == 5 and place % 5 == 0 else "pc"), cost, round(cost * (1.35 + 0.9 * rng.random()), 2) if sold else None,
                                  None if chance(0.06) else amount(0.02, 2 if group < 8 else 60, 3), int(chance(0.07)))
                self.parts.setdefault(group, []).append(number)
                self.cost[number] = cost
                self.price[number] = self.rows["parts"][-1][7]
        self.sold = self.parts[9] + self.parts[10]
        self.made = self.parts[8] + self.sold
        self.bought = [p for g, ps in self.parts.items() if g not in (8, 9, 10) for p in ps]
        for parent in self.made:
            seen = set()
            for _ in range(whole(4, 9)):
                component = pick(self.parts[8]) if parent in self.sold and chance(0.25) else pick(self.bought)
                if component not in seen:
                    seen.add(component)
                    self.new("bom_lines", parent, component, float(whole(1, 8)), pick([0.0, 0.0, 1.0, 2.0, 5.0]))

    def vendors(self) -> None:
        self.offers: dict[int, list[tuple[int, float, int]]] = {}
        self.currency = {}
        countries = {"DE": "EUR", "IT": "EUR", "FR": "EUR", "US": "USD", "CN": "CNY", "GB": "GBP", "CZ": "CZK", "SE": "SEK", "NL": "EUR"}
        for _ in range(64):
            country = weighted({"DE": 9, "IT": 4, "FR": 3, "US": 3, "CN": 6, "GB": 2, "CZ": 4, "SE": 2, "NL": 2})
            name = self.names.once(lambda: f"{self.names.word()} {pick(['Castings', 'Metals', 'Components', 'Seals', 'Drives', 'Industrial', 'Tooling'])}")
            number = self.new("suppliers", name, country, countries[country], weighted({"A": 4, "B": 5, "C": 2}), int(chance(0.09)))
            self.currency[number] = countries[country]
        self.reliable = {s: 0.55 + 0.43 * rng.random() for s in self.currency}
        for part in self.bought:
            sellers = sorted({whole(1, 61) for _ in range(whole(1, 4))})  # the last three suppliers have no price list
            first = pick(sellers)
            for seller in sellers:
                price = round(max(self.cost[part] * (0.8 + 0.5 * rng.random()) / self.RATES[self.currency[seller]], 0.01), 2)
                lead = whole(3, 70 if self.currency[seller] in ("CNY", "USD") else 28)
                self.add("supplier_parts", seller, part, price, lead, int(seller == first))
                self.offers.setdefault(seller, []).append((part, price, lead))

    # -- purchasing and stock ---------------------------------------------------------------------------------------

    def purchasing(self) -> None:
        for code, name, city in [("MAIN", "Main store", "Brunnfeld"), ("RAW", "Raw material yard", "Brunnfeld"), ("FGW", "Finished goods hall", "Brunnfeld"), ("NTH", "Northern hub", "Sundvik"),
                                 ("STH", "Southern hub", "Montelano"), ("QUA", "Quarantine", "Brunnfeld"), ("SPR", "Spare parts store", "Sundvik")]:
            self.new("warehouses", code, name, city)
        buyers = self.by_department[3]
        store = self.by_department[9]
        for ordered in sorted(workday() for _ in range(1100)):
            supplier = pick(sorted(self.offers))
            offers = self.offers[supplier]
            lead = max(lead for _, _, lead in offers)
            promised = plus(ordered, whole(max(3, lead // 2), lead))
            late = 0 if chance(self.reliable[supplier]) else whole(1, 21)
            arrived = plus(promised, late - whole(0, 3) if late == 0 else late)
            cancelled = chance(0.04)
            status = "cancelled" if cancelled else "received" if arrived <= LAST else "open"
            currency = self.currency[supplier]
            number = self.new("purchase_orders", f"PO-{ordered.year}-{self.next_id('purchase_orders'):05}", supplier, pick(buyers), str(ordered), str(promised), status, self.rate[currency, str(ordered)[:7]])
            for part, price, _ in sorted({pick(offers) for _ in range(whole(1, 4))}):
                qty = float(pick([10, 20, 25, 50, 100, 120, 200, 250, 500]))
                line = self.new("po_lines", number, part, qty, round(price * (0.97 + 0.08 * rng.random()), 2))
                if status == "received":
                    got = qty if chance(0.93) else round(qty * 0.9)
                    rejected = float(whole(1, max(1, int(qty * 0.08)))) if chance(0.09) else 0.0
                    warehouse = 2 if part in self.parts[1] else pick([1, 1, 1, 4, 5])
                    self.new("goods_receipts", line, warehouse, str(arrived), got, rejected)
                    self.new("stock_moves", moment(arrived, 6, 15), part, warehouse, "receipt", got - rejected, pick(store))
        for day in sorted(workday() for _ in range(3200)):
            kind = weighted({"issue": 7, "transfer": 2, "scrap": 0.6, "count": 0.8})
            qty = float(whole(1, 60))
            signed = {"issue": -qty, "transfer": qty if chance(0.5) else -qty, "scrap": -float(whole(1, 9)), "count": float(whole(1, 6)) * (1 if chance(0.4) else -1)}[kind]
            self.new("stock_moves", moment(day), whole(1, 340), whole(1, 7), kind, signed, pick(store))
        for part in range(1, 341):
            for warehouse in sorted({3 if part in self.sold else 1, *(whole(1, 7) for _ in range(2))}):
                on_hand = float(whole(0, 480 if part in self.bought else 70))
                self.add("stock_levels", warehouse, part, on_hand, float(whole(0, int(on_hand * 0.6))), float(whole(5, 120 if part in self.bought else 15)))

    # -- production -------------------------------------------------------------------------------------------------

    def production(self) -> None:
        centers = [("Turning", 5, 78.0), ("Milling", 5, 92.0), ("Grinding", 5, 84.5), ("Welding", 5, 66.0), ("Pump assembly", 6, 48.0), ("Valve assembly", 6, 46.0), ("Test bench", 6, 58.0), ("Packing", 9, 34.0),
                   ("Painting", 6, 52.5)]
        makes = [["lathe", "turning cell"], ["mill", "machining center"], ["grinder"], ["welding robot", "welding booth"], ["assembly line", "press"], ["assembly line", "press"], ["test rig"], ["wrapper"], ["paint booth"]]
        self.at: dict[int, list[int]] = {}
        for index, (name, department, rate) in enumerate(centers):
            center = self.new("work_centers", name, department, rate)
            for place in range(whole(5, 9)):
                installed = day_between(datetime.date(2009, 1, 1), datetime.date(2026, 3, 1))
                retired = str(day_between(datetime.date(2026, 2, 1), LAST)) if place > 3 and chance(0.2) else None
                machine = self.new("machines", f"M-{100 * center + place + 1}", f"{name} {pick(makes[index])} {place + 1}", center, str(installed), amount(18_000, 460_000, 0), retired)
                self.at.setdefault(center, []).append(machine)
        every = [m for ms in self.at.values() for m in ms]
        weak = {m: 0.3 + rng.random() * 1.4 for m in every}
        for day in sorted(workday() for _ in range(1900)):
            machine = weighted(weak)
            reason = weighted({"breakdown": 4, "setup": 5, "no material": 2, "no operator": 1.5, "maintenance": 2})
            planned = int(reason in ("setup", "maintenance") and chance(0.9))
            self.new("downtimes", machine, moment(day), {"breakdown": whole(15, 420), "setup": whole(10, 90), "no material": whole(10, 180), "no operator": whole(10, 150), "maintenance": whole(30, 300)}[reason], reason, planned)
        for day in sorted(workday() for _ in range(520)):
            kind = "corrective" if chance(0.42) else "preventive"
            self.new("maintenance_jobs", weighted(weak), pick(self.by_department[8]), kind, str(day), pick([0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 6.0]), amount(20, 2400) if kind == "corrective" else amount(0, 180))
        route: dict[int, list[tuple[int, int, float, float]]] = {}
        for part in self.made:
            steps = sorted({pick([1, 2, 3, 4]), pick([1, 2, 9]), 5 if part in self.parts[9] else 6, 7 if part in self.sold else 5})
            for place, center in enumerate(steps):
                op = (10 * (place + 1), center, float(whole(10, 60)), amount(2, 24, 1))
                route.setdefault(part, []).append(op)
                self.new("routings", part, *op)
        crew, inspectors = self.by_department[5] + self.by_department[6], self.by_department[7]
        for released in sorted(workday() for _ in range(900)):
            part = pick(self.made)
            planned = pick([5, 10, 10, 20, 25, 40, 50])
            due = plus(released, whole(7, 30))
            done = plus(due, whole(-5, 0) if chance(0.7) else whole(1, 14))
            done = max(done, plus(released, 2))
            status = "cancelled" if chance(0.03) else "finished" if done <= LAST else "released"
            scrap = whole(1, max(1, planned // 6)) if status == "finished" and chance(0.38) else 0
            good = planned - scrap if status == "finished" else 0
            order = self.new("work_orders", f"WO-{self.next_id('work_orders'):06}", part, planned, good, scrap, status, str(released), str(due), str(done) if status == "finished" else None)
            if status == "finished":
                for op, center, setup, run in route[part]:
                    self.new("work_order_ops", order, op, pick(self.at[center]), pick(crew), moment(plus(released, whole(0, 2))), round((setup + run * planned) * (0.8 + 0.55 * rng.random()), 1))
                if chance(0.82):
                    result = weighted({"pass": 8, "fail": 0.9, "rework": 1.1})
                    sample = min(planned, pick([2, 5, 8, 13]))
                    check = self.new("inspections", order, pick(inspectors), str(done), sample, result)
                    for _ in range(0 if result == "pass" and chance(0.8) else whole(1, 3)):
                        self.new("defects", check, weighted({"DIM": 4, "SURF": 5, "LEAK": 2, "ASM": 3, "MARK": 1}), weighted({"minor": 6, "major": 3, "critical": 0.8}), whole(1, sample))
        for _ in range(60):
            self.new("work_orders", f"WO-{self.next_id('work_orders'):06}", pick(self.made), pick([5, 10, 20, 40]), 0, 0, "planned", None, str(day_between(datetime.date(2026, 12, 1), datetime.date(2027, 2, 15))), None)

    # -- sales and service ------------------------------------------------------------------------------------------

    def selling(self) -> None:
        managers = [e for e in self.by_department[2] if e not in self.left]
        industries = {"Chemicals": 4, "Food": 5, "Water": 6, "Energy": 3, "Pharma": 3, "Shipbuilding": 1.5}
        size = {}
        for _ in range(170):
            name = self.names.once(lambda: f"{self.names.word()} {pick(['Chemie', 'Waterworks', 'Brewery', 'Energy', 'Pharma', 'Dairy', 'Yards', 'Process', 'Plant Engineering'])}")
            number = self.new("customers", f"C{20000 + 3 * self.next_id('customers')}", name, weighted({"DE": 8, "AT": 2, "FR": 3, "PL": 3, "SE": 2, "US": 2, "CN": 2, "IT": 2}), weighted(industries),
                              float(pick([10, 25, 50, 75, 100, 150, 250]) * 1000), pick(managers), str(day_between(datetime.date(2012, 1, 1), datetime.date(2026, 9, 30))))
            size[number] = 0.2 + rng.random() ** 3 * 4
        since = {row[0]: row[7] for row in self.rows["customers"]}
        for index in range(1, 13):
            size[index * 13] = 0.0  # customers that never bought
        for _, name in enumerate(["Rasolm Freight", "Halenko Cargo", "Pelanto Express", "Orivar Lines", "Tamurra Air", "Gilomir Parcel", "Vesebro Road", "Kesadin Sea"]):
            self.new("carriers", name, ["road", "road", "parcel", "sea", "air", "parcel", "road", "sea"][_])
        for ordered in sorted(workday() for _ in range(1350)):
            customer = weighted(size)
            if since[customer] > str(ordered):
                continue
            quote = None
            if chance(0.55):
                quoted = plus(ordered, -whole(3, 40))
                quote = self.new("quotes", f"Q{self.next_id('quotes'):05}", customer, str(quoted), str(plus(quoted, 45)), amount(900, 48_000), "won", None)
            requested = plus(ordered, whole(10, 50))
            shipped = plus(requested, whole(-6, 0) if chance(0.72) else whole(1, 18))
            shipped = max(shipped, plus(ordered, 2))
            status = "cancelled" if chance(0.035) else "shipped" if shipped <= LAST else "open"
            order = self.new("sales_orders", f"SO{ordered.year % 100}{self.next_id('sales_orders'):05}", customer, quote, str(ordered), str(requested), status)
            total, kilos = 0.0, 0.0
            for part in sorted({pick(self.sold) for _ in range(whole(1, 5))}):
                qty, discount = whole(1, 14), pick([0.0, 0.0, 0.0, 3.0, 5.0, 7.5, 10.0])
                price = round(self.price[part] * (1.0 if ordered.year == 2026 else 0.96), 2)
                net = round(qty * price * (1 - discount / 100), 2)
                line = self.new("so_lines", order, part, qty, price, discount, net)
                total, kilos = total + net, kilos + qty * 12
                if status == "shipped" and chance(0.05):
                    back = plus(shipped, whole(8, 60))
                    if back <= LAST:
                        sent = whole(1, qty)
                        self.new("returns", line, str(back), sent, weighted({"defective": 4, "wrong part": 2, "damaged in transit": 2, "not needed": 1}), round(net * sent / qty, 2))
            if status == "shipped":
                carrier = whole(1, 8)
                transit = whole(1, 5) if carrier in (1, 2, 3, 5, 6, 7) else whole(12, 38)
                self.new("shipments", order, carrier, pick([3, 3, 3, 4, 5]), str(shipped), past(plus(shipped, transit)), round(kilos * (0.4 + rng.random()), 2), round(kilos * 1.08, 1))
                vat = round(total * 0.19, 2) if self.rows["customers"][customer - 1][3] == "DE" else 0.0
                due = plus(shipped, pick([14, 30, 30, 45]))
                invoice = self.new("invoices", f"RE-{self.next_id('invoices'):06}", order, str(shipped), str(due), round(total, 2), vat)
                gross = round(total + vat, 2)
                parts = [gross] if chance(0.85) else [round(gross * 0.4, 2), round(gross - round(gross * 0.4, 2), 2)]
                paid = plus(due, whole(-12, 4) if chance(0.75) else whole(5, 50))
                for share in parts:
                    if past(paid) and not chance(0.02):
                        self.new("payments", invoice, str(paid), share, weighted({"transfer": 7, "direct debit": 2, "card": 0.6}))
                    paid = plus(paid, whole(10, 30))
        for quoted in sorted(workday() for _ in range(560)):
            still_open = quoted > datetime.date(2026, 9, 25) and chance(0.7)
            self.new("quotes", f"Q{self.next_id('quotes'):05}", whole(1, 170), str(quoted), str(plus(quoted, 45)), amount(900, 60_000), "open" if still_open else "lost",
                     None if still_open else weighted({"price": 5, "delivery time": 3, "technology": 1.5, "no project": 2}))
        for _ in range(210):
            begins = day_between(datetime.date(2022, 1, 1), datetime.date(2026, 10, 1))
            self.new("contracts", whole(1, 170), weighted({"maintenance": 5, "spare parts": 3, "frame": 2}), str(begins), str(plus(begins, 365 * whole(1, 4) - 1)), amount(1_200, 36_000, 0), int(chance(0.45)))
        agents = self.by_department[14]
        for day in sorted(workday() for _ in range(1500)):
            priority = weighted({"low": 2, "normal": 5, "high": 2, "urgent": 0.8})
            closed = plus(day, whole(0, {"low": 25, "normal": 14, "high": 8, "urgent": 3}[priority]))
            done = closed <= LAST and chance(0.97)
            self.new("tickets", whole(1, 170), pick(self.sold) if chance(0.8) else None, pick(agents) if done or chance(0.6) else None, moment(day, 7, 12), moment(closed, 13, 18) if done else None, priority,
                     whole(1, 5) if done and chance(0.5) else None)

    CATEGORIES = {"personnel": 42_000, "material": 18_000, "travel": 2_600, "it": 4_100, "energy": 5_200}

    def controlling(self) -> None:
        for department in range(1, 15):
            scale = 0.4 + 0.045 * self.STAFF[department]
            for category, monthly in self.CATEGORIES.items():
                planned = round(monthly * scale, -2)
                for year in (2025, 2026):
                    self.add("budgets", department, year, category, round(planned * 12 * (0.9 + 0.2 * rng.random()), -2))
                for index in range(23):
                    if index == 22 and category == "energy":
                        continue  # November's bill has not come
                    for _ in range(2):
                        day = datetime.date(2025 + index // 12, index % 12 + 1, whole(1, 20))
                        self.new("cost_entries", department, category, str(day), round(planned / 2 * (0.75 + 0.5 * rng.random()), 2))
        for _ in range(60):
            self.new("cost_entries", whole(1, 14), pick(sorted(self.CATEGORIES)), str(workday()), -amount(50, 2500))


def write(path: pathlib.Path) -> dict[str, int]:
    """Writes the database anew and returns the rows of each table."""
    rng.seed(20261123)
    plant = Plant()
    for step in (plant.money, plant.people, plant.items, plant.vendors, plant.purchasing, plant.production, plant.selling, plant.controlling):
        step()
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.executescript(SCHEMA.read_text(encoding="utf-8"))
    with database:
        for table, rows in plant.rows.items():
            database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    broken = database.execute("PRAGMA foreign_key_check").fetchall()
    database.close()
    if broken:
        raise SystemExit(f"{len(broken)} rows name a row that is not there, first {broken[0]}")
    return {table: len(rows) for table, rows in plant.rows.items()}


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    counts = write(pathlib.Path(sys.argv[1]))
    print(f"{len(counts)} tables, {sum(counts.values())} rows:", ", ".join(f"{table} {count}" for table, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
