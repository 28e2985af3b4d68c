//! The repository's files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::source::{Source, file_modules_for_tests};

/// All files that belong to the repository, and its Rust sources parsed.
pub(crate) struct Repository {
    root: PathBuf,
    files: Vec<String>,
    sources: Vec<Source>,
}

impl Repository {
    /// Reads the workspace that this test was built from.
    pub(crate) fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
        let files = tracked(&root).unwrap_or_else(|| walked(&root));
        assert!(files.iter().any(|path| path == "tests/tests/style/repository.rs"), "the listing is incomplete");
        let sources = parse_all(&root, &files);
        Self { root, files, sources }
    }

    /// Paths relative to the root.
    pub(crate) fn files(&self) -> &[String] {
        &self.files
    }

    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// A file's text; `None` if there is no such file or it is not text.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    /// First path component of every crate.
    pub(crate) fn crate_names(&self) -> BTreeSet<String> {
        self.sources.iter().map(|source| source.crate_name().to_owned()).collect()
    }
}

fn parse_all(root: &Path, files: &[String]) -> Vec<Source> {
    let rust = files.iter().filter(|path| path.ends_with(".rs"));
    let mut sources: Vec<Source> =
        rust.filter_map(|path| Some(Source::parse(path, &fs::read_to_string(root.join(path)).ok()?))).collect();
    let tests: BTreeSet<String> = sources.iter().flat_map(file_modules_for_tests).collect();
    for source in &mut sources {
        source.mark_test_file(&tests);
    }
    sources
}

/// What git tracks or would track.
fn tracked(root: &Path) -> Option<Vec<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let listing = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    let files = listing.split('\0').filter(|path| !path.is_empty() && root.join(path).is_file());
    Some(files.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect())
}

/// For a source tree without git.
fn walked(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap();
            match path.is_dir() {
                true if name == "target" || name == ".git" => {}
                true => folders.push(path),
                false => files.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    files
}

#[test]
fn the_walk_finds_what_git_lists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let Some(tracked) = tracked(root) else { return };
    let walked: BTreeSet<String> = walked(root).into_iter().collect();
    let missing: Vec<_> = tracked.iter().filter(|path| !walked.contains(*path)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
