//! Reports as JSON files.

use crate::{Error, Result};
use std::fs;
use std::path::Path;

/// Writes a report; folders that are missing are made.
pub(crate) fn write(path: &Path, report: &serde_json::Value) -> Result<()> {
    let failed = |source| Error::Report { path: path.to_owned(), source };
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::create_dir_all(dir).map_err(failed)?;
    }
    fs::write(path, format!("{report:#}\n")).map_err(failed)
}
