//! Where set-up puts things: for the crate's own tests and for those beside it.

use std::path::PathBuf;

/// `PAWL_HOME`, else the user's cache folder.
pub(crate) fn home() -> PathBuf {
    if let Some(home) = std::env::var_os("PAWL_HOME") {
        return home.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    cache.unwrap_or_default().join("pawl")
}

/// ONNX Runtime's library.
pub(crate) fn library() -> PathBuf {
    let folder = home().join("runtime");
    let library = std::fs::read_dir(&folder).ok().into_iter().flatten().flatten().map(|entry| entry.path());
    let is_runtime = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Beside it is the stamp of its verification.
        name.starts_with("libonnxruntime.so") && !name.ends_with(".verified")
    };
    library.into_iter().find(is_runtime).unwrap_or_else(|| {
        panic!(
            "no ONNX Runtime in {}; `cargo xtask test` sets it up (PAWL_HOME says where)",
            folder.display()
        )
    })
}
