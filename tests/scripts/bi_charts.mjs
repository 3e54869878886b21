// Checks Vega-Lite specifications with the real packages, every warning a failure, and draws them.
//
//   npm install vega-lite vega ajv ajv-formats        # in a folder of its own
//   node bi_charts.mjs PACKAGES SPEC.json …           # PACKAGES: that folder; writes SPEC.vega.svg beside each
//
// Under JSON Schema as vega-lite ships it, through vega-lite's compiler, and drawn by vega without a browser.
import { createRequire } from "node:module";
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, ...files] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(folder), "package.json"));
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const [vegaLite, vega] = [await load("vega-lite"), await load("vega")];
const Ajv = require("ajv").default;
const ajv = new Ajv({ strict: false, allErrors: false });
require("ajv-formats").default(ajv);
ajv.addFormat("color-hex", () => true);
const root = path.join(folder, "node_modules/vega-lite/build");
const validate = ajv.compile(JSON.parse(fs.readFileSync(path.join(root, "vega-lite-schema.json"), "utf8")));

let bad = 0;
for (const file of files) {
  const said = [];
  const tell = (kind) => (...words) => (said.push(`${kind}: ${words.join(" ")}`), logger);
  const logger = { level: () => logger, error: tell("error"), warn: tell("warning"), info: () => logger, debug: () => logger };
  try {
    const spec = JSON.parse(fs.readFileSync(file, "utf8"));
    if (!validate(spec)) said.push(`schema: ${ajv.errorsText(validate.errors)}`);
    const compiled = vegaLite.compile(spec, { logger }).spec;
    const view = new vega.View(vega.parse(compiled), { renderer: "none", logger });
    fs.writeFileSync(file.replace(/\.json$/, ".vega.svg"), await view.toSVG());
  } catch (error) {
    said.push(`error: ${error.message}`);
  }
  if (said.length) {
    bad += 1;
    console.log(path.basename(file), said.join("; ").slice(0, 400));
  }
}
console.log(`${files.length} specifications, ${bad} with an error or a warning (vega-lite ${vegaLite.version}, vega ${vega.version})`);
process.exit(bad ? 1 : 0);
