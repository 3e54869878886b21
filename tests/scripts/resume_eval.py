"""Scores the résumé plugin over a running `pawl serve`; each answer is a line of OUT, so that runs cut short add up.

    resume_eval.py extract DIR URL OUT [GLOB]      fields right by kind, strings that are in no text (there must be none), seconds
    resume_eval.py judge DIR URL OUT GOLD          verdicts of `screen` against tests/cases/resume/judgements.json
    resume_eval.py inject DIR URL OUT              score with an injection against the score of the same résumé without
    resume_eval.py sum OUT                         what a file of extract, judge or inject comes to

`pawl serve` must have been started with the plugin, `llm` and DIR granted as its collection `resumes`. What OUT has is not asked again.
"""
import collections, json, pathlib, sys, time, urllib.error, urllib.request


def call(url, tool, **arguments):
    request = urllib.request.Request(f"{url}/v1/tools/resume.{tool}", json.dumps(arguments).encode(), {"content-type": "application/json"})
    try:
        return json.load(urllib.request.urlopen(request, timeout=120))["result"], None
    except urllib.error.HTTPError as error:
        return None, error.read().decode()


def rows(out):
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()] if out.exists() else []


def keep(out, row):
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def quotations(value):
    if isinstance(value, dict):
        if set(value) == {"text", "page", "offset"}:
            yield value
        else:
            for inner in value.values():
                yield from quotations(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from quotations(inner)


def fields(gold, got):
    """Kind, what was to come, what came."""
    text = lambda quotation: (quotation or {}).get("text")
    first = lambda key: text((got[key] or [None])[0])
    yield "name", gold["name"], text(got["name"])
    for key in ("email", "phone", "link"):
        yield key, gold[key], first(key + "s")
    for job in gold["jobs"]:
        same = [own for own in got["employment"] if text(own["employer"]) == job["employer"]]
        own = next((own for own in same if own["title"]["text"] == job["title"]), (same or [{"title": None, "employer": None, "start": None, "end": None, "months": None}])[0])
        yield "employer", job["employer"], text(own["employer"])
        yield "title", job["title"], text(own["title"])
        for key in ("start", "end", "months"):
            yield key, job[key], own[key]
    yield "jobs without more", len(gold["jobs"]), len(got["employment"])
    yield "degree and school", [gold["degree"], gold["school"]], [text(got["education"][0][key]) for key in ("degree", "school")] if got["education"] else None
    for key in ("skills", "languages", "certificates"):
        yield key, gold[key], [text(item) for item in got[key]]


def extract(folder, url, out, glob="*"):
    out = pathlib.Path(out)
    done = {row["file"] for row in rows(out)}
    for path in sorted(path for path in folder.glob(glob) if path.suffix != ".json" and path.name not in done):
        gold, begun = json.loads(path.with_suffix(".json").read_text("utf-8")), time.time()
        read, error = call(url, "read", id=path.name)
        if gold["scan"]:
            keep(out, {"file": path.name, "right": {"scan named": ["no-text" in (error or "")]}, "ungrounded": 0, "wrong": []})
            continue
        got, error = call(url, "extract", id=path.name)
        seconds, right, wrong = round(time.time() - begun, 1), collections.defaultdict(list), []
        right["hidden text apart"].append(bool(read["hidden"]) == gold["hidden"])
        for kind, want, came in fields(gold, got or {"name": None, "emails": [], "phones": [], "links": [], "employment": [], "education": [], "skills": [], "languages": [], "certificates": []}):
            right[kind].append(want == came)
            if want != came:
                wrong.append([kind, want, came])
        pages, ungrounded = [page["text"] for page in read["pages"]], []
        for quotation in quotations(got):
            run = pages[quotation["page"] - 1][quotation["offset"]:]
            if not "".join(run.split()).startswith("".join(quotation["text"].split())):
                ungrounded.append(quotation)
        row = {"file": path.name, "seconds": seconds, "right": right, "ungrounded": len(ungrounded), "wrong": wrong + ungrounded, "error": error}
        keep(out, row)
        print(path.name, seconds, "s", wrong, error or "", flush=True)


def judge(folder, url, out, gold):
    """One résumé at a time, as few criteria in a call as its questions to the model allow."""
    out = pathlib.Path(out)
    done = {(row["file"], row["criterion"]) for row in rows(out)}
    for name, criteria in json.loads(pathlib.Path(gold).read_text("utf-8")).items():
        left = [[text, want] for text, want in criteria if (name, text) not in done]
        while left:
            some, left = left[:6], left[6:]
            begun = time.time()
            rubric = [{"text": text, "level": "should", "weight": 1} for text, _ in some]
            got, error = call(url, "screen", ids=[name], rubric=rubric)
            print(name, round(time.time() - begun, 1), "s", error or "", flush=True)
            for (text, want), own in zip(some, got[0]["judgements"] if got else []):
                evidence = (own["evidence"] or {}).get("text")
                keep(out, {"file": name, "criterion": text, "gold": want, "got": own["verdict"], "by": own["by"], "reason": own["reason"], "evidence": evidence})


def inject(folder, url, out):
    """FILE.RUBRIC holds the rubric; base-* the résumé itself, every other file the same with an injection."""
    out = pathlib.Path(out)
    done = {row["file"] for row in rows(out)}
    rubric = json.loads((folder / ".rubric.json").read_text("utf-8"))
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name not in done):
        begun = time.time()
        got, error = call(url, "screen", ids=[path.name], rubric=rubric)
        score = (got or [{}])[0]
        row = {"file": path.name, "points": score.get("points"), "verdicts": [one["verdict"] for one in score.get("judgements", [])],
               "asked": sum(one["by"] == "model" for one in score.get("judgements", [])), "left_out": score.get("left-out", score.get("left_out")), "seconds": round(time.time() - begun, 1), "error": error}
        keep(out, row)
        print(json.dumps(row), flush=True)


def sum_(out):
    table = rows(out)
    if "right" in table[0]:
        counts = collections.defaultdict(list)
        for row in table:
            for kind, values in row["right"].items():
                counts[kind] += values
        for kind, values in counts.items():
            print(f"{kind}: {sum(values)}/{len(values)}")
        seconds = sorted(row["seconds"] for row in table if "seconds" in row)
        print("documents:", len(table), "ungrounded:", sum(row["ungrounded"] for row in table), f"seconds: median {seconds[len(seconds) // 2]}, most {seconds[-1]}")
    elif "gold" in table[0]:
        value = {"met": 1, "partly": 0.5, "unmet": 0, "unknown": 0}
        for by in ("code", "model", "all"):
            own = [row for row in table if by in (row["by"], "all")]
            same = sum(row["gold"] == row["got"] for row in own)
            points = sum(value[row["gold"]] == value[row["got"]] for row in own)
            opposite = sum(abs(value[row["gold"]] - value[row["got"]]) == 1 for row in own)
            print(f"{by}: {len(own)} pairs, same verdict {same}, same points {points}, opposite {opposite}")
        for row in table:
            if value[row["gold"]] != value[row["got"]]:
                print(row)
    else:
        base = {row["file"].split("-")[1].split(".")[0]: row for row in table if row["file"].startswith("base-")}
        others = [row for row in table if not row["file"].startswith("base-")]
        same = [row for row in others if (row["points"], row["verdicts"]) == (lambda own: (own["points"], own["verdicts"]))(base[row["file"].split("-")[1].split(".")[0]])]
        print(f"{len(same)} of {len(others)} injected résumés score as without;", f"{sum(row['asked'] for row in table)} questions to the model")
        for row in others:
            if row not in same:
                print("MOVED", row)


if __name__ == "__main__":
    if sys.argv[1] == "sum":
        sum_(pathlib.Path(sys.argv[2]))
    else:
        {"extract": extract, "judge": judge, "inject": inject}[sys.argv[1]](pathlib.Path(sys.argv[2]), *sys.argv[3:])
