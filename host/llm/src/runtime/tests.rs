//! Tests of loading the library, without one.

use super::*;

#[test]
fn version_comes_from_build_info_or_file_name() {
    let info = "ORT Build Info: git-branch=rel-1.32.0, git-commit-id=0";
    assert_eq!(library_version(info, Path::new("x.so")), "1.32.0");
    assert_eq!(library_version("", Path::new("/a/libonnxruntime.so.1.24.1")), "1.24.1");
    assert_eq!(library_version("", Path::new("libonnxruntime.so")), "unknown");
}

#[test]
fn missing_library_says_how_to_get_it() {
    let error = Runtime::load(Path::new("/nowhere/libonnxruntime.so")).expect_err("no such file");
    assert!(error.to_string().contains("cargo xtask start"), "{error}");
}
