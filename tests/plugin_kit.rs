//! The plugin kit as a new user has it: `pawl plugin new`, `build`, `inspect`, `list`, and a call, in each language, with the
//! real tools.
//!
//! The tools come from the registries of Rust, Python and JavaScript, and are kept in `target/tmp/kit`. Where they cannot be
//! fetched, the test of that language fails and says so; with `PAWL_OFFLINE` set it says so and is skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use pawl_tests::plugins::{component, target};
use pawl_tests::server::{binary, pawl_with};
use pawl_tests::wit;
use serde_json::{Value, json};

/// A folder for a user, who has made a plugin there.
struct Desk {
    folder: tempfile::TempDir,
    home: PathBuf,
    kit: PathBuf,
}

impl Desk {
    fn new() -> Result<Desk> {
        let folder = tempfile::tempdir()?;
        let home = folder.path().join("home");
        let kit = target().join("tmp/kit");
        std::fs::create_dir_all(&kit)?;
        Ok(Desk { folder, home, kit: kit.canonicalize()? })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn pawl(&self, arguments: &[&str]) -> Result<(i32, String, String)> {
        let cargo = self.kit.join("rust");
        pawl_with(arguments, self.path(), &[("PAWL_HOME", &self.home), ("CARGO_TARGET_DIR", &cargo)])
    }

    /// The standard output of a command that must succeed.
    fn done(&self, arguments: &[&str]) -> Result<String> {
        let (code, stdout, stderr) = self.pawl(arguments)?;
        ensure!(code == 0, "pawl {} gave {code}:\n{stdout}{stderr}", arguments.join(" "));
        Ok(stdout)
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.done(arguments)?)?)
    }

    /// Standard error of a command that must fail.
    fn refused(&self, arguments: &[&str]) -> Result<String> {
        let (code, stdout, stderr) = self.pawl(arguments)?;
        ensure!(code == 1, "pawl {} gave {code}:\n{stdout}{stderr}", arguments.join(" "));
        Ok(stderr)
    }

    /// Puts the tools that a plugin's `list` names, installed once by `command`, into its folder as `tools`.
    fn tools(&self, plugin: &str, list: &str, command: &str, tools: &str) -> Result<()> {
        let kept = self.kit.join(plugin);
        let wanted = std::fs::read_to_string(self.path().join(plugin).join(list))?;
        let stamp = kept.join("installed");
        if !std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            let _ = std::fs::remove_dir_all(&kept);
            std::fs::create_dir_all(&kept)?;
            std::fs::write(kept.join(list), &wanted)?;
            let output = Command::new("sh").args(["-c", command]).current_dir(&kept).output()?;
            if !output.status.success() {
                bail!("`{command}` failed: {}", String::from_utf8_lossy(&output.stderr));
            }
            std::fs::write(stamp, wanted)?;
        }
        Ok(std::os::unix::fs::symlink(kept.join(tools), self.path().join(plugin).join(tools))?)
    }

    /// Builds and calls the plugin of this name, whose source crashes for 13 people.
    fn check(&self, plugin: &str, crash: &str) -> Result<()> {
        let built = self.done(&["plugin", "build", plugin])?;
        assert!(
            built.contains("sha256") && built.contains("Split a bill between people, with a tip."),
            "{built}"
        );
        let settings = format!("[plugins.{plugin}]\npath = \"{plugin}/dist\"\n");
        std::fs::write(self.path().join("pawl.toml"), settings)?;

        let tool = format!("{plugin}.split-bill");
        let bill =
            |people: u32| json!({"bill": {"total": 84.5, "people": people, "tip-percent": 12}}).to_string();
        let shares = self.json(&["call", &tool, "--json", &bill(3)])?;
        assert_eq!(shares, json!({"tip": 10.14, "total": 94.64, "each": 31.55}));
        let error = self.refused(&["call", &tool, "--json", &bill(0)])?;
        assert!(
            error.contains("answered with an error")
                && error.contains("people is 0; give a number of 1 to 1000"),
            "{error}"
        );
        let error = self.refused(&["call", &tool, "--json", &bill(13)])?;
        assert!(error.contains("crashed") && error.contains(crash), "{error}");

        let inspected = self.json(&["plugin", "inspect", plugin, "--json"])?;
        let [tool] = inspected["tools"].as_array().context("no tools")?.as_slice() else {
            bail!("{plugin} has other tools: {inspected}")
        };
        assert_eq!(tool["description"], "Split a bill between people, with a tip.");
        let fields = &tool["parameters"]["properties"]["bill"]["properties"];
        assert_eq!(fields["people"]["description"], "How many people pay, 1 to 1000.");
        let imports = inspected["imports"].as_array().context("no imports")?;
        for import in imports {
            let import = import.as_str().unwrap_or_default();
            assert!(
                import.starts_with("wasi:") && import.contains("@0.2.") && !import.contains("http"),
                "{import}"
            );
        }
        let listed = self.json(&["plugin", "list", "--json"])?;
        assert_eq!(listed[0]["tools"], json!([format!("{plugin}.split-bill")]));
        assert_eq!(listed[0]["sha256"], inspected["sha256"]);
        Ok(())
    }

    /// Puts a line before the comment with which the template's checks begin.
    fn crash_at_thirteen(&self, file: &str, line: &str) -> Result<()> {
        self.put_before(file, "An error is read by the model", line)
    }

    /// Puts a line into a file before the first that has a text.
    fn put_before(&self, file: &str, text: &str, line: &str) -> Result<()> {
        let file = self.path().join(file);
        let source = std::fs::read_to_string(&file)?;
        let at = source.lines().position(|line| line.contains(text));
        let at = at.with_context(|| format!("the template has no line with {text}"))?;
        let mut lines: Vec<&str> = source.lines().collect();
        lines.insert(at, line);
        Ok(std::fs::write(file, lines.join("\n"))?)
    }

    /// Where the Python environment of a plugin keeps its packages.
    fn site_packages(&self, plugin: &str) -> Result<PathBuf> {
        let library = self.path().join(plugin).join(".venv/lib");
        let version = std::fs::read_dir(library)?.next().context("no Python in the environment")??;
        Ok(version.path().join("site-packages"))
    }
}

/// Whether the tools of a language may be missing. They are not where the project is tested for a merge.
fn offline(language: &str) -> bool {
    let offline = std::env::var_os("PAWL_OFFLINE").is_some();
    if offline {
        eprintln!("skipped: PAWL_OFFLINE is set, so the tools for {language} are not fetched");
    }
    offline
}

#[test]
fn a_new_rust_plugin_builds_and_is_called() -> Result<()> {
    if offline("Rust") {
        return Ok(());
    }
    let desk = Desk::new()?;
    let said = desk.done(&["plugin", "new", "kit-rust", "--lang", "rust"])?;
    assert!(said.contains("pawl plugin build kit-rust"), "{said}");
    desk.crash_at_thirteen("kit-rust/src/lib.rs", "        assert!(people != 13, \"unlucky number\");")?;
    desk.check("kit-rust", "unlucky number")
}

#[test]
fn a_new_python_plugin_builds_and_is_called() -> Result<()> {
    if offline("Python") {
        return Ok(());
    }
    let desk = Desk::new()?;
    let said = desk.done(&["plugin", "new", "kit-python", "--lang", "python"])?;
    let command = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt";
    assert!(said.contains(command), "{said}");
    desk.tools("kit-python", "requirements.txt", command, ".venv")?;
    // A package of the plugin's own environment, wherever the python3 of the machine looks.
    std::fs::write(desk.site_packages("kit-python")?.join("kit_probe.py"), "WORD = 'unlucky number'\n")?;
    desk.put_before("kit-python/app.py", "from wit_world import exports", "import kit_probe")?;
    let line = "        if bill.people == 13: raise RuntimeError(kit_probe.WORD)";
    desk.crash_at_thirteen("kit-python/app.py", line)?;
    desk.check("kit-python", "RuntimeError: unlucky number")
}

#[test]
fn a_new_javascript_plugin_builds_and_is_called() -> Result<()> {
    if offline("JavaScript") {
        return Ok(());
    }
    let desk = Desk::new()?;
    let said = desk.done(&["plugin", "new", "kit-js", "--lang", "js"])?;
    assert!(said.contains("npm install"), "{said}");
    let error = desk.refused(&["plugin", "build", "kit-js"])?;
    assert!(error.contains("componentize-js is not installed; run `(cd kit-js && npm install)`"), "{error}");
    desk.tools("kit-js", "package.json", "npm install", "node_modules")?;
    // Where a function gives a result, what is thrown is its error; an object is no string, and so this is a crash.
    desk.crash_at_thirteen("kit-js/plugin.js", "    if (people === 13) throw new Error('unlucky number');")?;
    desk.check("kit-js", "expected a string")
}

#[test]
fn a_plugin_is_not_made_twice_nor_built_from_nothing() -> Result<()> {
    let desk = Desk::new()?;
    desk.done(&["plugin", "new", "mine", "--lang", "rust", "--dir", "some/where"])?;
    let error = desk.refused(&["plugin", "new", "mine", "--lang", "js", "--dir", "some/where"])?;
    assert!(error.contains("some/where/mine exists already"), "{error}");
    let error = desk.refused(&["plugin", "new", "Not_Kebab", "--lang", "rust"])?;
    assert!(error.contains("Not_Kebab") && error.contains("kebab case"), "{error}");
    let error = desk.refused(&["plugin", "build", "some"])?;
    assert!(error.contains("plugin.toml is missing"), "{error}");
    let error = desk.refused(&["plugin", "inspect", "some/where/mine"])?;
    assert!(error.contains("mine.wasm is missing") && error.contains("pawl plugin build"), "{error}");
    Ok(())
}

#[test]
fn a_component_that_came_alone_is_inspected_and_asks_for_nothing() -> Result<()> {
    let desk = Desk::new()?;
    let file = desk.path().join("foreign.wasm");
    std::fs::copy(component("calendar"), &file)?;
    let inspected = desk.json(&["plugin", "inspect", "foreign.wasm", "--json"])?;
    assert_eq!((&inspected["name"], &inspected["in-settings"]), (&json!("foreign"), &json!(false)));
    assert_eq!(inspected["capabilities"], json!([]));
    assert_eq!(inspected["bytes"], json!(file.metadata()?.len()));
    assert_eq!(inspected["tools"].as_array().map(Vec::len), Some(7));
    Ok(())
}

#[test]
fn what_a_foreign_component_needs_beyond_this_host_is_named() -> Result<()> {
    let desk = Desk::new()?;
    let text =
        "package other:thing; interface gpu { draw: func(); } world plugin { import gpu; export f: func(); }";
    std::fs::write(desk.path().join("gpu.wasm"), wit::component(text)?)?;
    let error = desk.refused(&["plugin", "inspect", "gpu.wasm"])?;
    assert!(error.contains("needs what this host does not offer: other:thing/gpu"), "{error}");
    std::fs::write(desk.path().join("text.wasm"), "(component)")?;
    let error = desk.refused(&["plugin", "inspect", "text.wasm"])?;
    assert!(error.contains("not a WebAssembly component"), "{error}");
    let error = desk.refused(&["plugin", "inspect", "nowhere"])?;
    assert!(error.contains("no plugin of the settings, which are: calendar, sql"), "{error}");
    Ok(())
}

#[test]
fn a_plugin_of_the_settings_is_shown_with_what_it_gets() -> Result<()> {
    let desk = Desk::new()?;
    let capability = |name: &str| -> Result<(Value, Value)> {
        let inspected = desk.json(&["plugin", "inspect", "calendar", "--json"])?;
        assert_eq!(inspected["limits"]["memory"], "32.0 MiB");
        let all = inspected["capabilities"].as_array().context("no capabilities")?;
        let found = all.iter().find(|capability| capability["capability"] == name);
        let found = found.with_context(|| format!("no {name} in {inspected}"))?;
        Ok((json!([found["requested"], found["granted"]]), found["effective"].clone()))
    };
    assert_eq!(capability("keyvalue")?, (json!([true, true]), json!(true)));
    std::fs::write(
        desk.path().join("pawl.toml"),
        "[plugins.calendar.grant.database]\nshop = \"shop.sqlite\"\n",
    )?;
    assert_eq!(capability("keyvalue")?, (json!([true, false]), json!(false)));
    assert_eq!(capability("database shop")?, (json!([false, true]), json!(false)));
    Ok(())
}

#[test]
fn a_reader_that_goes_away_ends_pawl_quietly() -> Result<()> {
    let desk = Desk::new()?;
    let mut command = Command::new(binary()?);
    command.args(["plugin", "inspect", "--home"]).arg(&desk.home).arg(component("calendar"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
    Ok(())
}
