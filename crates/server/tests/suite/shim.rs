//! Stands between the server and its operating system, by a library that is loaded before it (`shim/shim.c`):
//! it records what happens to the files of the data folder, refuses writes, slows the disk, sets the clock.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The library, made by the C compiler that the build needs all the same.
pub(crate) fn library() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/shim/shim.c");
    // Each process makes its own, and puts it in place at once: tests run beside each other.
    let made = folder.join(format!("shim-{}.so", std::process::id()));
    let status = Command::new("cc")
        .args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .args([&made, &source])
        .args(["-ldl", "-lpthread"])
        .status()
        .unwrap();
    assert!(status.success());
    let library = folder.join("shim.so");
    std::fs::rename(made, &library).unwrap();
    library
}

/// What a server's environment has to say so that it runs on the shim, for the files of this folder.
pub(crate) fn environment(folder: &Path, settings: &[(&str, &Path)]) -> Vec<(String, String)> {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let mut all = vec![("LD_PRELOAD".to_owned(), text(&library())), ("SHIM_FOLDER".to_owned(), text(folder))];
    all.extend(settings.iter().map(|(name, path)| ((*name).to_owned(), text(path))));
    all
}
