"""Writes a recording for `pawl` out of tests/cases/cluster: a healthy cluster, or several, with faults planted in them.

    python3 tests/scripts/cluster_recording.py FOLDER FAULT [FAULT …]     # such as dns_loop load_balancer_pending
    python3 tests/scripts/cluster_recording.py FOLDER                     # the healthy `bank`

Faults of one corpus (faults.json or field.json) go together: the two were recorded at different times.
"""
import json
import pathlib
import sys

CASES = pathlib.Path(__file__).resolve().parents[1] / "cases" / "cluster"


def key(o):
    return "%s/%s/%s" % (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"])


def merge(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merge(target.get(name), value)
    return target


def recording(names):
    """Objects by key, and logs."""
    faults = {f["fault"]: f for file in ("faults.json", "field.json") for f in json.load(open(CASES / file))}
    chosen = [faults[name] for name in names]
    objects, logs = {}, {}
    for base in sorted({f["base"] for f in chosen} or {"bank"}, reverse=True):
        for o in json.load(open(CASES / (base + ".json")))["items"]:
            objects.setdefault(key(o), o)
    for f in chosen:
        for k in f["remove"]:
            objects.pop(k, None)
        for k, patch in f["merge"].items():
            if k in objects:
                objects[k] = merge(objects[k], patch)
        for o in f["add"]:
            objects[key(o)] = o
        logs |= f["logs"]
    return objects, logs


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    objects, logs = recording(sys.argv[2:])
    (folder / "cluster.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects.values())}, indent=1))
    for name, text in logs.items():
        (folder / name).write_text(text)
    print(len(objects), "objects,", len(logs), "logs")
