//! Files that are read whole: what is none, or is far too long, is told before it is opened.

use std::fs::{File, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Opens a file of at most `most` bytes, if it is one. A pipe would be waited for without an end, and could be read only
/// once.
///
/// # Errors
/// It is something else, or too long, or cannot be had; in words that follow "cannot be read".
pub(crate) fn open(path: &Path, most: u64) -> io::Result<File> {
    let found = std::fs::metadata(path)?;
    if let Some(other) = what_else(found.file_type()) {
        return Err(io::Error::other(format!("it is {other}")));
    }
    if found.len() > most {
        return Err(io::Error::other(format!("it has {} bytes, {most} are expected at most", found.len())));
    }
    File::open(path)
}

/// What it is, if it is no file.
fn what_else(found: FileType) -> Option<&'static str> {
    match () {
        () if found.is_file() => None,
        () if found.is_dir() => Some("a folder"),
        () if found.is_fifo() => Some("a pipe"),
        () if found.is_socket() => Some("a socket"),
        () => Some("a device"),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn what_is_no_file_is_told_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let told = |path: &Path| open(path, 10).unwrap_err().to_string();
        assert_eq!(told(folder.path()), "it is a folder");
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(told(&pipe), "it is a pipe");
        assert_eq!(told(Path::new("/dev/null")), "it is a device");
        assert_eq!(open(&folder.path().join("none"), 10).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 30).unwrap();
        let told = open(file.path(), 10).unwrap_err().to_string();
        assert_eq!(told, "it has 1073741824 bytes, 10 are expected at most");
        file.as_file().set_len(10).unwrap();
        assert_eq!(open(file.path(), 10).unwrap().metadata().unwrap().len(), 10);
    }
}
