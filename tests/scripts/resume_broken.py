"""Puts broken, bombing and fuzzed documents through `read`, `extract` and `screen` of a running `pawl serve`.

    resume_broken.py DIR URL OUT PID [SECONDS]     DIR as `resume_corpus.py bad DIR` writes it; PID is that of pawl serve
    resume_broken.py sum OUT                       what the lines of OUT come to

Each call is a line of OUT: file, function, outcome, reason, seconds, resident memory of the host before and after it (VmRSS and VmHWM
of /proc/PID/status). What OUT has is not asked again, so a run stopped after SECONDS goes on where it was; one line an hour old
and one of now stand for the same host only if the same server ran.
Invariant: a call is wrong where it ends without a reason of the plugin's, with another reason than .expected.json says, without the
file's name in it, later than the plugin's deadline, or where `extract` or `screen` end otherwise than `read` did for want of text.
"""
import collections, json, pathlib, sys, time

from resume_eval import call, keep, rows

# [limits] time of plugin.toml and a little for the wire.
DEADLINE = 122
KINDS = ("encrypted", "no-text", "damaged", "unsupported", "limit", "unknown-resume", "unavailable", "invalid")
RUBRIC = [{"text": "Has led a team of at least ten people", "level": "must", "weight": 2}, {"text": "Wrote reports for a board", "level": "should", "weight": 1}]


def memory(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return [int(line.split()[1]) // 1024 for key in ("VmRSS", "VmHWM") for line in lines if line.startswith(key)]


def outcome(result, error):
    named = [kind for kind in KINDS if f'{{"{kind}":' in (error or "").replace("\\", "")]
    return named[0] if named else "answer" if result is not None else "NO REASON"


def run(folder, url, out, pid, seconds="450"):
    expected, until = json.loads((folder / ".expected.json").read_text()), time.time() + float(seconds)
    done = {(row["file"], row["function"]): row for row in rows(out)}
    # All of `read` first: what it says decides what the others may say.
    for function in ("read", "extract", "screen"):
        for name, want in expected.items():
            if (name, function) in done:
                continue
            if time.time() > until:
                return print("stopped; run it again to go on")
            arguments = {"ids": [name], "rubric": RUBRIC} if function == "screen" else {"id": name}
            before, begun = memory(pid), time.time()
            try:
                result, error = call(url, function, **arguments)
            except OSError as why:
                result, error = None, f"no answer: {why}"
            took, after = round(time.time() - begun, 2), memory(pid)
            got = outcome(result, error)
            row = {"file": name, "function": function, "outcome": got, "reason": error and error[:400], "seconds": took, "rss": [before[0], after[0]], "peak": after[1], "pid": pid, "wrong": []}
            read = done.get((name, "read"), {}).get("outcome")
            row["wrong"] += [f"expected {want}"] if want not in (None, got) else []
            row["wrong"] += ["no reason"] if got == "NO REASON" else []
            row["wrong"] += ["unnamed"] if error and name not in error else []
            row["wrong"] += ["late"] if took > DEADLINE else []
            row["wrong"] += [f"read said {read}"] if function != "read" and (read == "answer") != (got == "answer") else []
            done[name, function] = row
            keep(out, row)
            if row["wrong"]:
                print(name, function, row["wrong"], row["reason"], flush=True)


def sum_(out):
    table = rows(out)
    for function in ("read", "extract", "screen"):
        own = [row for row in table if row["function"] == function]
        if not own:
            continue
        slow, wrong = max(own, key=lambda row: row["seconds"]), [row for row in own if row["wrong"]]
        # A file that has no text must be refused before the model is asked, which takes it no longer than to be read.
        refused = [row["seconds"] for row in own if row["outcome"] != "answer"]
        print(f"{function}: {len(own)} files, {dict(collections.Counter(row['outcome'] for row in own))}, wrong {len(wrong)};",
              f"all {sum(row['seconds'] for row in own):.0f} s, slowest {slow['seconds']} s ({slow['file']}), slowest refusal {max(refused, default=0)} s;",
              f"host RSS {own[0]['rss'][0]} MiB before, {own[-1]['rss'][1]} MiB after, peak {max(row['peak'] for row in own)} MiB")
        for row in wrong:
            print("WRONG", row["file"], row["wrong"], row["reason"])


if __name__ == "__main__":
    if sys.argv[1] == "sum":
        sum_(pathlib.Path(sys.argv[2]))
    else:
        run(pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]), *sys.argv[4:])
        sum_(pathlib.Path(sys.argv[3]))
