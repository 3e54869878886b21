#!/usr/bin/env python3
"""Every chart of the BI plugin: valid under Vega-Lite's schema, compiled without a warning, its SVG well-formed.

    pip install altair vl-convert-python
    python3 tests/scripts/bi_charts.py PAWL pawl.toml [OUT]     # OUT: pictures to look at, .svg and .png

Asks `pawl call bi.chart` for every case of tests/cases/bi/questions.json that splits its figures. The schema is the one
that altair ships; vl-convert runs the real vega-lite and writes its warnings to standard error.
"""

import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree

import altair
import jsonschema
import vl_convert

CASES = pathlib.Path(__file__).resolve().parents[1] / "cases" / "bi" / "questions.json"


def with_warnings(work):
    """What a function gives and what it wrote to the file descriptor of standard error."""
    saved, (read, write) = os.dup(2), os.pipe()
    os.dup2(write, 2)
    try:
        result = work()
    finally:
        os.dup2(saved, 2)
        os.close(write)
    with os.fdopen(read) as told:
        return result, told.read().strip()


def main() -> int:
    pawl, config = sys.argv[1], sys.argv[2]
    out = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    schema = altair.load_schema()
    drawn, bad, kinds = 0, 0, {}
    for case in json.loads(CASES.read_text())["cases"]:
        call = case["call"]
        if not call["by"] and not call.get("grain"):
            continue
        command = [pawl, "call", "bi.chart", "--config", config, "--json", json.dumps({"question": call})]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        try:
            picture = json.loads(done.stdout)
            spec = json.loads(picture["vega-lite"])
            jsonschema.validate(spec, schema)
            xml.etree.ElementTree.fromstring(picture["svg"])
            _, warned = with_warnings(lambda: vl_convert.vegalite_to_svg(spec))
            if warned:
                raise ValueError(warned)
        except Exception as error:  # any failure is the finding
            bad += 1
            print(case["id"], str(error)[:400], done.stderr[-300:])
            continue
        drawn += 1
        kinds[picture["kind"]] = kinds.get(picture["kind"], 0) + 1
        if out:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{case['id']}.svg").write_text(picture["svg"])
            (out / f"{case['id']}.png").write_bytes(vl_convert.svg_to_png(picture["svg"]))
    print(f"{drawn} charts valid without a warning, {bad} not: {kinds}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
