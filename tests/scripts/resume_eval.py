"""Scores the résumé plugin on the good corpus, and its outcomes on the bad one, over a running `pawl serve`.

    resume_eval.py good DIR URL [GLOB]    fields right, by kind, and strings that are in no text (there must be none)
    resume_eval.py bad DIR URL            each outcome against .expected.json; a trap, a deadline or another reason is a failure

`pawl serve` must have been started with the plugin and DIR granted as its collection `resumes`.
"""
import collections, json, pathlib, sys, time, urllib.error, urllib.request


def call(url, tool, **arguments):
    request = urllib.request.Request(f"{url}/v1/tools/resume.{tool}", json.dumps(arguments).encode(), {"content-type": "application/json"})
    try:
        return json.load(urllib.request.urlopen(request, timeout=120))["result"], None
    except urllib.error.HTTPError as error:
        return None, error.read().decode()


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


def good(folder, url, glob="*"):
    right, all_, ungrounded = collections.Counter(), collections.Counter(), 0
    for path in sorted(path for path in folder.glob(glob) if path.suffix != ".json"):
        gold, begun = json.loads(path.with_suffix(".json").read_text()), time.time()
        if gold["scan"]:
            _, error = call(url, "read", id=path.name)
            all_["scan"] += 1; right["scan"] += "no-text" in (error or "")
            continue
        read, _ = call(url, "read", id=path.name)
        all_["hidden"] += 1; right["hidden"] += bool(read["hidden"]) == gold["hidden"]
        got, error = call(url, "extract", id=path.name)
        if error:
            print(path.name, "FAILED", error[:200])
            for kind, count in [("contact", 4), ("title", 3), ("employer", 3), ("months", 3), ("school", 1)]:
                all_[kind] += count
            continue
        pages = [page["text"] for page in read["pages"]]
        for quotation in quotations(got):
            run = pages[quotation["page"] - 1][quotation["offset"]:]
            ungrounded += not "".join(run.split()).startswith("".join(quotation["text"].split()))
        contact = {"name": (got["name"] or {}).get("text"), **{key: (got[key + "s"] or [{}])[0].get("text") for key in ("email", "phone", "link")}}
        for key, value in contact.items():
            all_["contact"] += 1; right["contact"] += value == gold[key]
        for job in gold["jobs"]:
            same = [own for own in got["employment"] if own["employer"]["text"] == job["employer"]]
            all_["employer"] += 1; right["employer"] += bool(same)
            all_["title"] += 1; right["title"] += any(own["title"]["text"] == job["title"] for own in same)
            all_["months"] += 1; right["months"] += any(own["months"] == job["months"] for own in same)
        all_["school"] += 1; right["school"] += any(own["school"]["text"] == gold["school"] for own in got["education"])
        print(f"{path.name} {time.time() - begun:.0f} s", dict(right), flush=True)
    for kind in all_:
        print(f"{kind}: {right[kind]}/{all_[kind]}")
    print("ungrounded:", ungrounded)


def bad(folder, url):
    expected, got, wrong, slowest = json.loads((folder / ".expected.json").read_text()), collections.Counter(), 0, (0, "")
    for name, want in expected.items():
        begun = time.time()
        result, error = call(url, "read", id=name)
        slowest = max(slowest, (time.time() - begun, name))
        kinds = [kind for kind in ("encrypted", "no-text", "damaged", "unsupported", "limit", "unknown-resume") if f'{{"{kind}":' in (error or "").replace("\\", "")]
        outcome = kinds[0] if kinds else "text" if result else "NO REASON"
        got[outcome] += 1
        if outcome == "NO REASON" or (want and want != outcome):
            wrong += 1
            print(name, "expected", want, "got", outcome, (error or "")[:200])
    print(dict(got), f"slowest {slowest[0]:.2f} s {slowest[1]}", "wrong:", wrong)


if __name__ == "__main__":
    {"good": good, "bad": bad}[sys.argv[1]](pathlib.Path(sys.argv[2]), *sys.argv[3:])
