"""Asks a running `pawl serve` to explain 12 findings of a recording in a language, and judges what comes back.

The language is judged by another hand than the plugin's (`py3langid`, over problem, cause and steps together and over
problem and cause alone); evidence has to stand in the recording, character for character but for white space; what
looks like a name in a sentence or a command (digits, slashes, underscores, hyphens) has to stand in the recording.

    python3 tests/scripts/cluster_recording.py /tmp/rec run_as_non_root native_sidecar_crashes provisioning_refused \\
        intermediate_expired load_balancer_pending rollout_never_ready image_name_invalid dns_loop main_process_ends \\
        init_out_of_memory pull_rate_limit service_account_missing
    python3 tests/scripts/cluster_eval.py http://127.0.0.1:7411 /tmp/rec German [RESULTS.jsonl]
"""
import json
import pathlib
import re
import sys
import time
import urllib.request

import py3langid

FINDINGS = ["pvc-unbound:monitoring/tsdb-prometheus-0", "oom-killed:forge/web", "container-start:payments/api", "init-container:payments/ledger-db",
            "missing-reference:ml/notebook", "crash-loop:forge/runner", "image-pull:ml/train-resnet", "image-pull:monitoring/log-agent",
            "certificate-expired:payments/api-tls", "readiness-probe:payments/ledger", "crash-loop:kube-system/coredns", "service-load-balancer:ingress/nginx"]
CODES = {"English": "en", "German": "de", "Chinese": "zh", "Spanish": "es", "French": "fr", "Japanese": "ja"}


def strings(value, into):
    if isinstance(value, dict):
        for k, v in value.items():
            into.append(k)
            strings(v, into)
    elif isinstance(value, list):
        for v in value:
            strings(v, into)
    elif value is not None:
        into.append(str(value))


def flat(text):
    return " ".join(text.split())


def names(text):
    """Words of ASCII that are no plain words."""
    words = re.findall(r"[A-Za-z0-9][A-Za-z0-9._/:-]*[A-Za-z0-9]", text)
    return [w for w in words if re.search(r"[0-9/_]", w) or w.count("-") > 1]


py3langid.set_languages(["en", "de", "zh", "es", "fr", "pt", "it", "ja", "ko", "ru"])
url, folder, language = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
out = open(sys.argv[4], "a") if len(sys.argv) > 4 else None
all_strings = []
for f in folder.iterdir():
    strings(json.loads(f.read_text()), all_strings) if f.suffix == ".json" else all_strings.append(f.read_text())
recorded = flat("\n".join(all_strings))
def call(tool, arguments, timeout=120):
    request = urllib.request.Request(url + "/v1/tools/cluster." + tool, json.dumps(arguments).encode(), {"content-type": "application/json"})
    return json.loads(urllib.request.urlopen(request, timeout=timeout).read())


findings, page = [], 1
while page:
    part = call("diagnose", {"page": page})["result"]
    findings += part["findings"]
    page = part["next-page"]
by_id = {f["id"]: f for f in findings}
right = noted = honest = 0
ungrounded, strangers, seconds = [], [], []
for id in FINDINGS:
    began = time.time()
    try:
        answer = call("explain", {"finding": id, "language": language})
    except urllib.error.HTTPError as e:
        answer = {"error": e.read().decode()}
    seconds.append(time.time() - began)
    r = answer.get("result")
    if out:
        out.write(json.dumps({"language": language, "finding": id, "seconds": round(seconds[-1], 1), "answer": answer}, ensure_ascii=False) + "\n")
        out.flush()
    if not r:
        print(id, answer)
        continue
    # What quotes the recording has no language.
    words = " ".join([r["problem"], r["likely-cause"]] + [s["text"] for s in r["steps"]])
    for name in names(words):
        words = words.replace(name, " ")
    code = py3langid.classify(words)[0]
    parts = [py3langid.classify(p)[0] for p in (r["problem"], r["likely-cause"])]
    good = code == CODES[language] and not r["note"]
    right += good
    noted += bool(r["note"])
    honest += good or bool(r["note"])
    ungrounded += [(id, q) for q in r["evidence"] if flat(q) not in recorded]
    known = flat(recorded + " " + json.dumps(by_id[id], ensure_ascii=False)).lower()
    strangers += [(id, n) for n in names(words) if n.lower() not in known]
    strangers += [(id, n) for s in r["steps"] for n in re.findall(r"(?:pod|deployment|-c|-n|job|pvc|service|secret) ([a-z0-9][a-z0-9.-]*)", s["command"]) if n not in recorded]
    print(("ok  " if good else "note" if r["note"] else "BAD ") + f" {seconds[-1]:5.1f}s {id} [{code} {parts}] {r['note'] or ''}")
print(f"{language}: {right} of {len(FINDINGS)} in the language, {noted} with a note, {len(FINDINGS) - honest} wrong without one; "
      f"ungrounded evidence {len(ungrounded)}, names that there are not {len(strangers)}; median {sorted(seconds)[len(seconds) // 2]:.1f} s")
for all in (ungrounded, strangers):
    for one in all:
        print("  ", one)
