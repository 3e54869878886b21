//! What a granted folder gives and does not give: paths, links, pipes, and the folder itself put elsewhere.

use anyhow::{Context, Result, ensure};
use pawl_plugin::{CallError, Plugin};
use serde_json::{Value, json};

use super::{World, files};

/// A file deed's outcome: what it gave, or the name of the error.
async fn deed(plugin: &Plugin, folder: &str, deed: &str, path: &str, other: &str) -> Result<String, String> {
    let (function, arguments) = files(folder, deed, path, other);
    match plugin.call(function, &arguments).await {
        Ok(Value::String(text)) => Ok(text),
        Err(CallError::Guest(Value::String(code))) => Err(code),
        other => panic!("{deed} {path}: {other:?}"),
    }
}

const FOLDERS: &str = "filesystem = { '/in' = 'read', '/out' = 'write' }";
const BOTH: &str = "filesystem = { '/in' = { folder = '{data}/in', access = 'write' }, \
    '/out' = { folder = '{data}/out', access = 'write' } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_to_read_is_never_changed() -> Result<()> {
    let world = World::new()?;
    std::fs::create_dir(world.path("in/sub"))?;
    std::fs::write(world.path("in/sub/deep.txt"), "deep")?;
    let before = std::fs::metadata(world.path("in/a.txt"))?.modified()?;
    let plugin = world.probe(FOLDERS, BOTH)?;
    let folders = plugin.call("folders", &json!({})).await?;
    assert_eq!(folders, json!(["/in", "/out"]));
    for (how, path, gives) in [
        ("read", "a.txt", "from the host"),
        ("read-stream", "a.txt", "from the host"),
        ("read", "sub/../sub/deep.txt", "deep"),
        ("list", ".", "a.txt sub"),
    ] {
        assert_eq!(deed(&plugin, "/in", how, path, "").await, Ok(gives.to_owned()), "{how} {path}");
    }
    for (how, path, other) in [
        ("create", "new.txt", "x"),
        ("overwrite", "a.txt", "x"),
        ("truncate", "a.txt", ""),
        ("set-size", "a.txt", ""),
        ("set-times", "a.txt", ""),
        ("make-folder", "new", ""),
        ("remove", "a.txt", ""),
        ("remove-folder", "sub", ""),
        ("rename", "a.txt", "b.txt"),
        ("hard-link", "a.txt", "b.txt"),
        ("soft-link", "b.txt", "a.txt"),
    ] {
        assert_eq!(deed(&plugin, "/in", how, path, other).await, Err("not-permitted".to_owned()), "{how}");
    }
    assert_eq!(std::fs::read_to_string(world.path("in/a.txt"))?, "from the host");
    assert_eq!(std::fs::metadata(world.path("in/a.txt"))?.modified()?, before);
    assert_eq!(std::fs::read_dir(world.path("in"))?.count(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_to_write_can_be_changed_and_the_narrower_access_holds() -> Result<()> {
    let world = World::new()?;
    let plugin = world.probe(FOLDERS, BOTH)?;
    for (how, path, other) in [
        ("create", "new.txt", "text"),
        ("overwrite", "b.txt", "AFTER!"),
        ("set-times", "b.txt", ""),
        ("make-folder", "sub", ""),
        ("rename", "new.txt", "sub/moved.txt"),
        ("hard-link", "b.txt", "c.txt"),
        ("remove", "b.txt", ""),
    ] {
        assert_eq!(deed(&plugin, "/out", how, path, other).await, Ok(String::new()), "{how}");
    }
    assert_eq!(std::fs::read_to_string(world.path("out/c.txt"))?, "AFTER!");
    assert_eq!(std::fs::read_to_string(world.path("out/sub/moved.txt"))?, "text");
    let narrower = world.probe(FOLDERS, "filesystem = { '/out' = { folder = '{data}/out' } }")?;
    assert_eq!(deed(&narrower, "/out", "create", "x", "").await, Err("not-permitted".to_owned()));
    assert_eq!(deed(&narrower, "/out", "read", "c.txt", "").await, Ok("AFTER!".to_owned()));
    Ok(())
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_a_folder_is_reached_by_any_path_or_link() -> Result<()> {
    use std::os::unix::fs::symlink;
    let world = World::new()?;
    symlink("../secret.txt", world.path("out/link"))?;
    symlink(world.path("secret.txt"), world.path("out/absolute"))?;
    symlink("../..", world.path("out/up"))?;
    symlink("sub/up", world.path("out/up-again"))?;
    symlink("b.txt", world.path("out/inside"))?;
    let plugin = world.probe(FOLDERS, BOTH)?;
    // A link that the guest makes itself, and one that it moves.
    assert_eq!(deed(&plugin, "/out", "soft-link", "own", "../secret.txt").await, Ok(String::new()));
    assert_eq!(deed(&plugin, "/out", "make-folder", "sub", "").await, Ok(String::new()));
    assert_eq!(deed(&plugin, "/out", "rename", "up", "sub/up").await, Ok(String::new()));
    // One to an absolute path cannot be made at all.
    assert!(deed(&plugin, "/out", "soft-link", "own-absolute", "/etc/passwd").await.is_err());
    let absolute = world.path("secret.txt").display().to_string();
    for path in [
        "../secret.txt",
        "sub/../../secret.txt",
        "link",
        "absolute",
        "own",
        "sub/up/secret.txt",
        "sub/up/../secret.txt",
        "up-again/secret.txt",
        "/etc/passwd",
        &absolute,
        "//secret.txt",
        "..",
        "./../secret.txt",
        "sub/up/out/../secret.txt",
    ] {
        for how in ["read", "read-stream", "overwrite", "truncate", "stat", "set-times", "list"] {
            let outcome = deed(&plugin, "/out", how, path, "gone").await;
            assert!(outcome.is_err(), "{how} {path}: {outcome:?}");
        }
        for how in ["create", "make-folder"] {
            assert!(deed(&plugin, "/out", how, path, "made").await.is_err(), "{how} {path}");
        }
    }
    for (how, path, other) in [
        ("rename", "b.txt", "../b.txt"),
        ("rename", "../secret.txt", "mine.txt"),
        ("hard-link", "../secret.txt", "mine.txt"),
        ("hard-link", "b.txt", "../b.txt"),
        ("remove", "../secret.txt", ""),
        ("remove-folder", "../in", ""),
        ("rename", "b.txt", "sub/up/b.txt"),
    ] {
        assert!(deed(&plugin, "/out", how, path, other).await.is_err(), "{how} {path} {other}");
    }
    assert_eq!(std::fs::read_to_string(world.path("secret.txt"))?, "nobody's");
    assert_eq!(deed(&plugin, "/out", "read", "inside", "").await, Ok("before".to_owned()));
    Ok(())
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_in_a_folder_is_refused_instead_of_waited_for() -> Result<()> {
    let world = World::new()?;
    let made = std::process::Command::new("mkfifo").arg(world.path("in/pipe")).status()?;
    ensure!(made.success(), "mkfifo failed");
    std::os::unix::fs::symlink("pipe", world.path("in/to-pipe"))?;
    let plugin = world.probe(FOLDERS, BOTH)?;
    for path in ["pipe", "to-pipe"] {
        for how in ["read", "read-stream"] {
            assert_eq!(
                deed(&plugin, "/in", how, path, "").await,
                Err("not-permitted".to_owned()),
                "{how} {path}"
            );
        }
    }
    Ok(())
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_a_guest_puts_in_the_place_of_a_granted_folder_leads_nowhere() -> Result<()> {
    let world = World::new()?;
    std::fs::create_dir(world.path("out/inner"))?;
    let requested = "filesystem = { '/inner' = 'read', '/out' = 'write' }\ndocuments = ['inner']";
    let granted = "documents = { inner = '{data}/out/inner' }\nfilesystem = { '/inner' = { folder = '{data}/out/inner' }, \
        '/out' = { folder = '{data}/out', access = 'write' } }";
    let plugin = world.probe(requested, granted)?;
    assert_eq!(deed(&plugin, "/out", "rename", "inner", "moved").await, Ok(String::new()));
    std::os::unix::fs::symlink(world.data.path(), world.path("out/inner"))?;
    let outcome = plugin.call("folders", &json!({})).await;
    let Err(CallError::Host { message }) = outcome else { panic!("{outcome:?}") };
    assert!(
        message.contains("/inner") && !message.contains(&world.data.path().display().to_string()),
        "{message}"
    );
    let documents = world.probe("documents = ['inner']", "documents = { inner = '{data}/docs' }")?;
    std::fs::rename(world.path("docs"), world.path("docs-moved"))?;
    std::os::unix::fs::symlink(world.data.path(), world.path("docs"))?;
    let outcome = documents.call("list-documents", &json!({"collection": "inner"})).await;
    assert!(
        matches!(&outcome, Err(CallError::Guest(Value::String(error))) if error.contains("Unreadable")),
        "{outcome:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_folder_that_does_not_exist_is_named_when_the_plugin_is_loaded() -> Result<()> {
    let world = World::new()?;
    let error = world.probe(FOLDERS, "filesystem = { '/in' = { folder = '{data}/no-such' } }").err();
    let message = format!("{:#}", error.context("it loads")?);
    ensure!(message.contains("`/in`") && message.contains("no-such"), message);
    let error = world.probe("documents = ['d']", "documents = { d = '{data}/secret.txt' }").err();
    let message = format!("{:#}", error.context("it loads")?);
    ensure!(message.contains("`d`") && message.contains("secret.txt"), message);
    Ok(())
}
