//! A model from a hub: by hash, continued where it broke off, whole or not there at all.

#[path = "model_pull/hub.rs"]
mod hub;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hub::{Asked, Hub, REPO, Trouble};
use pawl_tests::home::home;
use pawl_tests::server::binary;

const TOKEN: &str = "hf_not-to-be-said";

/// `pawl` over a home folder of the test's own and the test's hub.
fn command(arguments: &[&str], home: &Path, hub: &Hub) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command
        .args(arguments)
        .current_dir(home)
        .env("PAWL_HOME", home)
        .env("HF_ENDPOINT", &hub.address)
        .env("NO_PROXY", "127.0.0.1")
        .env("PAWL_LOG", "debug")
        .env_remove("HF_TOKEN")
        .env_remove("PAWL_CONFIG")
        .env_remove("PAWL_DATA")
        .env_remove("PAWL_MODEL");
    Ok(command)
}

/// Exit code, standard output and standard error of `pawl model pull`.
async fn pull(source: &str, home: &Path, hub: &Hub, token: bool) -> Result<(i32, String, String)> {
    let mut command = command(&["model", "pull", source], home, hub)?;
    if token {
        command.env("HF_TOKEN", TOKEN);
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    ensure!(!out.contains(TOKEN) && !errors.contains(TOKEN), "the token was said:\n{out}\n{errors}");
    Ok((output.status.code().unwrap_or(-1), out, errors))
}

/// The files below a folder, without the lock.
fn files(folder: &Path) -> BTreeSet<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => walk(&path, found),
                path => found.push(path),
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, &mut found);
    let names = found.iter().filter_map(|path| Some(path.strip_prefix(folder).ok()?.display().to_string()));
    names.filter(|name| name != "setup.lock").collect()
}

/// Bytes that repeat nowhere, of a seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// The export that the tests pull, and some that is not part of it.
fn export() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (".gitattributes", b"x".to_vec()),
        ("README.md", b"about it".to_vec()),
        ("config.json", b"{\"model_type\": \"llama\"}".to_vec()),
        ("generation_config.json", b"{}".to_vec()),
        ("onnx/model.onnx", noise(1, 200_000)),
        ("onnx/model_q4.onnx", noise(2, 5_000)),
        ("onnx/model_q4.onnx_data", noise(3, 3_000_000)),
        ("onnx/model_q4.onnx_data_1", noise(4, 150_000)),
        ("tokenizer.json", noise(5, 120_000)),
        ("tokenizer_config.json", Vec::new()),
    ]
}

const PULLED: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "onnx/model_q4.onnx",
    "onnx/model_q4.onnx_data",
    "onnx/model_q4.onnx_data_1",
    "tokenizer.json",
    "tokenizer_config.json",
];

/// Whether `models/small-model-q4` is the export, to the byte, and all that there is.
fn assert_exported(home: &Path, hub: &Hub) -> Result<()> {
    let folder = home.join("models/small-model-q4");
    let expected: BTreeSet<String> = PULLED.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(files(&folder), expected);
    for name in PULLED {
        let right = hub.with(|state| state.files.get(name).cloned()).context("the hub has it")?;
        ensure!(std::fs::read(folder.join(name))? == right, "{name} differs");
    }
    assert_eq!(files(home).len(), PULLED.len(), "{:?}", files(home));
    Ok(())
}

/// The requests to the host of the large files for one of them: where each began.
fn ranges(asked: &[Asked], path: &str) -> Vec<Option<String>> {
    asked.iter().filter(|a| a.elsewhere && a.path == path).map(|a| a.range.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gguf_is_pulled_over_a_broken_connection_and_is_a_model() -> Result<()> {
    const FILE: &str = "smollm2-135m-instruct-q4_1";
    let set_up = home()?;
    let gguf = set_up.models.with_file_name("gguf").join(format!("{FILE}.gguf"));
    let bytes = std::fs::read(&gguf).with_context(|| format!("{}; set-up fetches it", gguf.display()))?;
    let path = format!("{FILE}.gguf");
    let hub = Hub::serve(&[("README.md", b"about it".to_vec()), (&path, bytes.clone())]).await?;
    hub.with(|state| state.trouble = Trouble::BreaksOnce);
    let home = tempfile::tempdir()?;
    let (code, out, errors) = pull(REPO, home.path(), &hub, true).await?;
    ensure!(code == 0 && out.contains(&format!("pawl serve --model {FILE}")), "{out}\n{errors}");

    let asked = hub.asked();
    let half = bytes.len() / 2;
    assert_eq!(ranges(&asked, &path), [None, Some(format!("bytes={half}-"))]);
    // The token is for the hub, not for the host that it leads to.
    for one in &asked {
        assert_eq!(one.authorization.is_some(), !one.elsewhere, "{one:?}");
    }
    ensure!(std::fs::read(home.path().join("gguf").join(&path))? == bytes, "the GGUF file differs");
    assert_eq!(files(&home.path().join("downloads")), BTreeSet::new());

    let mut info = command(&["model", "info", "--model", FILE], home.path(), &hub)?;
    let info = info.env("PAWL_ONNXRUNTIME", &set_up.runtime).output()?;
    let said = String::from_utf8_lossy(&info.stdout);
    ensure!(info.status.success() && said.contains("architecture: \"llama\""), "{said}");
    let list = command(&["model", "list"], home.path(), &hub)?.output()?;
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let line = |name: &str| list.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    ensure!(line(FILE).contains("llama") && line("qwen").contains("not there yet"), "{list}");

    let (code, _, errors) = pull(REPO, home.path(), &hub, false).await?;
    ensure!(code == 0 && errors.contains("nothing to do"), "{errors}");
    assert_eq!(hub.asked(), []);
    Ok(())
}

/// Begins a pull, waits until half of the stalling file is on the disk, and kills it.
async fn killed_halfway(source: &str, home: &Path, hub: &Hub) -> Result<()> {
    hub.with(|state| state.trouble = Trouble::Stalls);
    let mut child = command(&["model", "pull", source], home, hub)?
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let begun = Instant::now();
    let part = || files(home).into_iter().find(|name| name.ends_with("model_q4.onnx_data.part"));
    let size = || part().and_then(|part| home.join(part).metadata().ok()).map_or(0, |found| found.len());
    while size() < 1_500_000 && begun.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill()?;
    child.wait()?;
    ensure!(size() == 1_500_000, "{} bytes were there: {:?}", size(), files(home));
    ensure!(files(&home.join("models")).is_empty(), "half of a model is one: {:?}", files(home));
    hub.with(|state| state.trouble = Trouble::None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_whose_pull_was_killed_is_continued_and_is_exactly_its_files() -> Result<()> {
    let hub = Hub::serve(&export()).await?;
    let (home, source) = (tempfile::tempdir()?, format!("{REPO}:q4"));
    killed_halfway(&source, home.path(), &hub).await?;
    hub.asked();
    let (code, out, errors) = pull(&source, home.path(), &hub, false).await?;
    ensure!(code == 0 && out.contains("pawl serve --model small-model-q4"), "{out}\n{errors}");
    let asked = hub.asked();
    assert_eq!(ranges(&asked, "onnx/model_q4.onnx_data"), [Some("bytes=1500000-".to_owned())]);
    // What was whole is not fetched again.
    assert_eq!(ranges(&asked, "tokenizer.json"), []);
    assert_exported(home.path(), &hub)?;

    let (code, _, errors) = pull(&source, home.path(), &hub, false).await?;
    ensure!(code == 0 && errors.contains("nothing to do") && hub.asked().is_empty(), "{errors}");
    // Another model of the same name does not take its place.
    hub.with(|state| state.files.insert("config.json".into(), b"{}".to_vec()));
    let (code, _, errors) = pull(&source, home.path(), &hub, false).await?;
    ensure!(code == 1 && errors.contains("--name"), "{errors}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_another_commit_is_not_continued() -> Result<()> {
    let hub = Hub::serve(&export()).await?;
    let (home, source) = (tempfile::tempdir()?, format!("{REPO}:q4"));
    killed_halfway(&source, home.path(), &hub).await?;
    hub.asked();
    hub.with(|state| {
        state.commit = 'b';
        state.files.insert("onnx/model_q4.onnx_data".into(), noise(6, 3_000_000));
    });
    let (code, _, errors) = pull(&source, home.path(), &hub, false).await?;
    ensure!(code == 0, "{errors}");
    assert_eq!(ranges(&hub.asked(), "onnx/model_q4.onnx_data"), [None]);
    assert_exported(home.path(), &hub)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_ignores_ranges_begins_anew_and_the_file_is_right() -> Result<()> {
    let hub = Hub::serve(&export()).await?;
    hub.with(|state| state.trouble = Trouble::BreaksOnceAndIgnoresRanges);
    let home = tempfile::tempdir()?;
    let (code, _, errors) = pull(&format!("{REPO}@main:q4"), home.path(), &hub, false).await?;
    ensure!(code == 0, "{errors}");
    assert_eq!(ranges(&hub.asked(), "onnx/model_q4.onnx_data"), [None, Some("bytes=1500000-".to_owned())]);
    assert_exported(home.path(), &hub)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_another_hash_is_refused_and_nothing_of_it_is_left() -> Result<()> {
    for (path, hash, actual) in [
        ("model.gguf", "0".repeat(64), None),
        // Git's name of the bytes `{}`, which are in the place of others.
        ("config.json", "1".repeat(40), Some("9e26dfeeb6e641a33dae4961196235bdb965b21b")),
    ] {
        let files_there = [
            ("model.gguf", noise(7, 200_000)),
            ("onnx/model.onnx", noise(8, 10)),
            ("tokenizer.json", noise(9, 9)),
        ];
        let hub = Hub::serve(&[&files_there[..], &[("config.json", b"{}".to_vec())]].concat()).await?;
        hub.with(|state| state.lies.insert(path.into(), hash.clone()));
        let home = tempfile::tempdir()?;
        let source = if path == "model.gguf" { format!("{REPO}:{path}") } else { format!("{REPO}:fp32") };
        let (code, out, errors) = pull(&source, home.path(), &hub, false).await?;
        ensure!(code == 1 && out.is_empty(), "{out}\n{errors}");
        ensure!(errors.contains(path) && errors.contains(&hash), "{errors}");
        ensure!(actual.is_none_or(|actual| errors.contains(actual)), "{errors}");
        assert_eq!(files(home.path()), BTreeSet::new(), "{errors}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leaves_the_folder_is_refused_before_anything_is_fetched() -> Result<()> {
    for name in ["../../evil.onnx", "onnx/../../../evil.onnx", "/evil.onnx"] {
        let hub = Hub::serve(&export()).await?;
        hub.with(|state| state.lies.insert("onnx/model.onnx".into(), name.into()));
        let home = tempfile::tempdir()?;
        let (code, _, errors) = pull(&format!("{REPO}:q4"), home.path(), &hub, false).await?;
        ensure!(code == 1 && errors.contains(name), "{errors}");
        assert_eq!((files(home.path()), hub.asked()), (BTreeSet::new(), Vec::new()));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hub_does_not_give_is_explained_with_its_mend() -> Result<()> {
    let hub = Hub::serve(&export()).await?;
    let (home, q4) = (tempfile::tempdir()?, format!("{REPO}:q4"));
    let says = async |source: &str, token: bool, words: &[&str]| -> Result<()> {
        let (code, _, errors) = pull(source, home.path(), &hub, token).await?;
        ensure!(code == 1 && words.iter().all(|word| errors.contains(word)), "{words:?}: {errors}");
        assert_eq!(files(home.path()), BTreeSet::new(), "{errors}");
        Ok(())
    };
    says("smollm3", false, &["smollm3", "smollm2-135m-instruct-q4_1", "ORG/REPO"]).await?;
    says(&format!("{REPO}@v9"), false, &[REPO, "v9", "404", "RevisionNotFound"]).await?;
    says("team/other", false, &["team/other", "404"]).await?;
    says(&format!("{REPO}:int8"), false, &["int8", "fp32, q4"]).await?;

    // What the disk has no room for is not begun.
    hub.with(|state| state.size = Some(1 << 60));
    says(&q4, false, &["team/small-model needs 7.00 EiB", "PAWL_HOME"]).await?;
    assert_eq!(hub.asked(), []);

    hub.with(|state| (state.size, state.api) = (None, Some("401 Unauthorized")));
    says(&q4, false, &["401", "RepoNotFound", "HF_TOKEN", "private"]).await?;
    hub.with(|state| (state.api, state.gated) = (None, true));
    says(&q4, false, &["gated", "HF_TOKEN"]).await?;
    hub.with(|state| state.trouble = Trouble::Refuses("403 Forbidden", "GatedRepo"));
    says(&q4, true, &["403", "GatedRepo", "holder of the token in HF_TOKEN"]).await?;

    let gguf = |name: &'static str| (name, noise(1, 200_000));
    // Several models, of one kind and of both: the person names one.
    for names in [["small.Q4_K_M.gguf", "small.Q8_0.gguf"], ["small.Q8_0.gguf", "onnx/model_q4.onnx"]] {
        let several = Hub::serve(&names.map(gguf)).await?;
        let (code, _, errors) = pull(REPO, home.path(), &several, false).await?;
        let listed = names.map(|name| format!("{REPO}:{}", name.replace("onnx/model_q4.onnx", "q4")));
        ensure!(code == 1 && listed.iter().all(|line| errors.contains(line)), "{errors}");
        assert_eq!(several.asked(), []);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_never_gives_it_is_asked_six_times() -> Result<()> {
    let hub = Hub::serve(&export()).await?;
    hub.with(|state| state.trouble = Trouble::Refuses("503 Service Unavailable", "Busy"));
    let home = tempfile::tempdir()?;
    let (code, _, errors) = pull(&format!("{REPO}:q4"), home.path(), &hub, false).await?;
    ensure!(code == 1 && errors.contains("503") && errors.contains("run this again to continue"), "{errors}");
    assert_eq!(hub.asked().len(), 6);
    Ok(())
}
