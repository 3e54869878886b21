#!/usr/bin/env python3
"""Every chart of the BI plugin: valid under Vega-Lite's schema, compiled without a warning, its SVG well-formed.

    (mkdir -p /tmp/vega && cd /tmp/vega && npm install vega-lite vega ajv ajv-formats)
    python3 tests/scripts/bi_charts.py PAWL PLUGIN SHOP.sqlite /tmp/vega OUT

Asks `pawl call bi.chart` for every case of tests/cases/bi/questions.json that splits its figures, and for the hard ones
of tests/cases/bi/charts. PLUGIN is the folder with bi.wasm. OUT gets what was drawn: NAME.svg of the plugin, NAME.json
its specification, NAME.vega.svg vega's drawing of that, and NAME.png of both side by side where rsvg-convert is there.
"""

import json
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).resolve().parent
CASES = HERE.parent / "cases" / "bi"
SVG = "{http://www.w3.org/2000/svg}"


def settings(folder: pathlib.Path, plugin: pathlib.Path, grants: str) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pawl.toml"
    file.write_text(f'[plugins.bi]\npath = "{plugin.resolve()}"\npin = false\n[plugins.bi.grant]\n{grants}\n')
    return file


def drawn(text: str) -> str | None:
    """What is wrong with a drawing: not well-formed, text outside, or a figure that is no number."""
    root = xml.etree.ElementTree.fromstring(text)
    width, height = (float(root.get(side)) for side in ("width", "height"))
    for node in root.iter():
        for name in ("x", "y", "width", "height", "cx", "cy", "r"):
            value = node.get(name)
            if value and not value.endswith("%") and not -0.1 <= float(value) <= max(width, height):
                return f"{node.tag.removeprefix(SVG)} {name}={value} is outside"
        if node.tag == SVG + "text" and not 0 <= float(node.get("y")) <= height:
            return f"{node.text!r} is outside"
    return "a figure is no number" if "NaN" in text or "inf" in text else None


def main() -> int:
    if len(sys.argv) != 6:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    pawl, plugin, shop, packages, out = sys.argv[1], *map(pathlib.Path, sys.argv[2:])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        ledger = sqlite3.connect(folder / "ledger.sqlite")
        ledger.executescript((CASES / "charts" / "data.sql").read_text())
        ledger.close()
        hard = f'documents = {{ layer = "{CASES / "charts"}" }}\ndatabase = {{ main = "{folder / "ledger.sqlite"}" }}'
        sets = [
            ("questions.json", settings(folder / "shop", plugin, f'database = {{ shop = "{shop.resolve()}" }}')),
            ("charts/charts.json", settings(folder / "ledger", plugin, hard)),
        ]
        names, bad, kinds = [], 0, {}
        for file, config in sets:
            for case in json.loads((CASES / file).read_text())["cases"]:
                call = case["call"]
                if not call.get("by"):
                    continue
                command = [pawl, "call", "bi.chart", "--config", config, "--json", json.dumps({"question": call})]
                done = subprocess.run(command, capture_output=True, text=True, timeout=60)
                try:
                    picture = json.loads(done.stdout)
                    (out / f"{case['id']}.json").write_text(picture["vega-lite"])
                    (out / f"{case['id']}.svg").write_text(picture["svg"])
                    names.append(case["id"])
                    kinds[picture["kind"]] = kinds.get(picture["kind"], 0) + 1
                    if fault := drawn(picture["svg"]):
                        raise ValueError(fault)
                except (ValueError, KeyError, xml.etree.ElementTree.ParseError) as error:
                    bad += 1
                    print(case["id"], error, (done.stdout + done.stderr)[-300:])
    vega = subprocess.run(["node", HERE / "bi_charts.mjs", packages, *(out / f"{name}.json" for name in names)], check=False)
    if shutil.which("rsvg-convert"):
        for name in names:
            for kind in (".svg", ".vega.svg"):
                subprocess.run(["rsvg-convert", "-z", "1", "-o", out / (name + kind[:-4] + ".png"), out / (name + kind)], check=True)
    print(f"{len(names)} charts drawn, {bad} wrong: {kinds}")
    return 1 if bad or vega.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
