//! A model folder appears whole or not at all.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::super::error::ImportError;
use super::super::staging::Staging;
use super::super::{IMPORTER_VERSION, Operators, STAMP_FILE, import_gguf};
use super::Tested;
use super::sample::Sample;

/// The names in a folder, sorted, hidden ones too.
fn names(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn json(path: &Path) -> Result<Value, Box<dyn std::error::Error>> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

#[test]
fn a_finished_folder_holds_every_file_and_a_stamp() -> Tested {
    let home = tempfile::tempdir()?;
    let folder = home.path().join("models").join("tiny");
    let mut last = (0, 0);
    let report =
        import_gguf(&Sample::model(8).write(home.path())?, &folder, Operators::Own, &mut |progress| {
            assert!(progress.done_bytes >= last.0);
            last = (progress.done_bytes, progress.total_bytes);
        })?;
    assert_eq!(last.0, last.1);
    let files = [
        "config.json",
        "generation_config.json",
        "model.onnx",
        "model.onnx.data",
        STAMP_FILE,
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(names(&folder)?, files);
    assert_eq!(names(&home.path().join("models"))?, ["tiny"]);
    let stamp = json(&folder.join(STAMP_FILE))?;
    assert_eq!(stamp["importer_version"], IMPORTER_VERSION);
    assert_eq!(stamp["source"]["sha256"], report.source_sha256);
    assert_eq!(stamp["source"]["bytes"], fs::metadata(home.path().join("sample.gguf"))?.len());
    assert_eq!(stamp["quantization"]["Q8_0"], 8);
    assert_eq!(fs::metadata(folder.join("model.onnx.data"))?.len(), report.data_bytes);
    let config = json(&folder.join("config.json"))?;
    assert_eq!(config["model_type"], "llama");
    assert_eq!(config["head_dim"], 64);
    assert_eq!(config["max_position_embeddings"], 64);
    assert_eq!(config["tie_word_embeddings"], true);
    Ok(())
}

#[test]
fn an_import_that_fails_leaves_nothing() -> Tested {
    let home = tempfile::tempdir()?;
    let mut sample = Sample::model(8);
    sample.tensors[3].bytes[1] = 0x7c;
    let source = sample.write(home.path())?;
    assert!(import_gguf(&source, &home.path().join("model"), Operators::Own, &mut |_| {}).is_err());
    assert_eq!(names(home.path())?, ["sample.gguf"]);
    Ok(())
}

#[test]
fn an_import_that_fails_leaves_the_earlier_one() -> Tested {
    let home = tempfile::tempdir()?;
    let folder = home.path().join("model");
    import_gguf(&Sample::model(8).write(home.path())?, &folder, Operators::Own, &mut |_| {})?;
    let before = fs::read(folder.join(STAMP_FILE))?;
    let mut sample = Sample::model(8);
    sample.tensors[3].bytes[1] = 0x7c;
    assert!(import_gguf(&sample.write(home.path())?, &folder, Operators::Own, &mut |_| {}).is_err());
    assert_eq!(fs::read(folder.join(STAMP_FILE))?, before);
    assert_eq!(names(home.path())?, ["model", "sample.gguf"]);
    Ok(())
}

#[test]
fn an_earlier_import_is_replaced() -> Tested {
    let home = tempfile::tempdir()?;
    let folder = home.path().join("model");
    import_gguf(&Sample::model(8).write(home.path())?, &folder, Operators::Own, &mut |_| {})?;
    import_gguf(&Sample::model(2).write(home.path())?, &folder, Operators::Own, &mut |_| {})?;
    assert_eq!(json(&folder.join(STAMP_FILE))?["quantization"]["Q4_0"], 8);
    assert_eq!(names(home.path())?, ["model", "sample.gguf"]);
    Ok(())
}

#[test]
fn a_folder_of_something_else_is_never_touched() -> Tested {
    let home = tempfile::tempdir()?;
    let folder = home.path().join("letters");
    fs::create_dir(&folder)?;
    fs::write(folder.join("letter.txt"), "dear")?;
    assert!(matches!(Staging::begin(&folder), Err(ImportError::NotAModelFolder(_))));
    assert!(matches!(Staging::begin(&folder.join("letter.txt")), Err(ImportError::NotAModelFolder(_))));
    assert_eq!(names(home.path())?, ["letters"]);
    assert!(matches!(Staging::begin(Path::new("/")), Err(ImportError::FolderName(_))));
    Ok(())
}

#[test]
fn what_a_killed_import_left_is_hidden_and_cleared() -> Tested {
    let home = tempfile::tempdir()?;
    let folder = home.path().join("model");
    let killed = Staging::begin(&folder)?;
    killed.write("model.onnx.data", b"half")?;
    killed.write("1_Pooling/config.json", b"half")?;
    assert!(!folder.exists());
    let partial = killed.path("model.onnx.data");
    // a kill runs no destructor; the lock goes with the process
    std::mem::forget(killed);
    assert!(matches!(Staging::begin(&folder), Err(ImportError::Busy(_))));
    fs::remove_file(partial.with_file_name(".lock"))?;
    let next = Staging::begin(&folder)?;
    assert!(!partial.exists());
    next.write("one", b"1")?;
    next.finish()?;
    assert_eq!(names(&folder)?, ["one"]);
    assert_eq!(names(home.path())?, ["model"]);
    Ok(())
}

#[test]
fn a_kill_between_the_two_renames_loses_no_earlier_import() -> Tested {
    let home = tempfile::tempdir()?;
    let (folder, replaced) = (home.path().join("model"), home.path().join(".model.replaced"));
    let earlier = || {
        fs::create_dir(&replaced)?;
        fs::write(replaced.join(STAMP_FILE), "{}")
    };
    earlier()?;
    // this import fails
    drop(Staging::begin(&folder)?);
    assert_eq!(names(&folder)?, [STAMP_FILE]);
    assert_eq!(names(home.path())?, ["model"]);
    // and a kill behind them leaves it for nothing
    earlier()?;
    fs::write(folder.join("newer"), "")?;
    drop(Staging::begin(&folder)?);
    assert_eq!(names(&folder)?, ["newer", STAMP_FILE]);
    assert_eq!(names(home.path())?, ["model"]);
    Ok(())
}

#[test]
fn who_begins_while_an_import_ends_takes_nothing_of_it() -> Tested {
    let home = tempfile::tempdir()?;
    let folder = home.path().join("model");
    let import = || -> Tested {
        let begun = (0..1_000_000).find_map(|_| {
            std::thread::yield_now();
            Staging::begin(&folder).ok()
        });
        let staging = begun.ok_or("there was never room to begin")?;
        staging.write("model.onnx", b"whole")?;
        staging.write(STAMP_FILE, b"{}")?;
        staging.finish()?;
        let found = names(&folder)?;
        if found == ["model.onnx", STAMP_FILE] { Ok(()) } else { Err(format!("it holds {found:?}").into()) }
    };
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                // begins where it may, clears what it finds, and fails
                drop(Staging::begin(&folder));
            }
        });
        let imported = (0..100).try_for_each(|_| import());
        ended.store(true, Ordering::Relaxed);
        imported
    })?;
    assert_eq!(names(home.path())?, ["model"]);
    Ok(())
}

#[test]
fn a_full_disk_says_how_much_is_needed() {
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let error = ImportError::io("write", Path::new("model.onnx.data"), 1234, full).to_string();
    assert!(error.contains("disk is full") && error.contains("1234 bytes"), "{error}");
}
