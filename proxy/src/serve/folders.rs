//! What can be told of a configuration's folders without a change on disk, for `pdw-proxy check`.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};
use rustix::io::Errno;

use super::state::{self, StateError};
use crate::config::Config;

/// Bytes that have to be free where something is to be written at all.
const FREE_MIN: u64 = 64 << 10;

/// Everybody may make and remove files there; each only his own, where the other bit is set.
const ANYBODY: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// What is wrong with folders, a line each.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// With which the proxy does not start.
    pub(crate) mistakes: Vec<String>,
    /// With which it does, but which is probably not meant.
    pub(crate) warnings: Vec<String>,
}

/// Looks at the folders of a configuration.
pub(crate) fn look(config: &Config) -> Told {
    let mut told = Told::default();
    if let Some(folder) = &config.spool {
        look_at_spool(folder, config.limits.spool_max as u64, &mut told);
    }
    if let Some(folder) = config.remembered_in() {
        look_at_state_dir(folder, config, &mut told);
    }
    told
}

fn look_at_spool(folder: &Path, most: u64, told: &mut Told) {
    let name = format!("spool {}", folder.display());
    match look_at(folder) {
        Err(why) => told.mistakes.push(format!("{name} {why}")),
        Ok(found) if found.free < most => told.warnings.push(format!(
            "{name} has {} free, and `limits.spool_max` lets {} be kept there: make room, or lower that limit; when the disk \
             is full, large requests pass as if there were no spool",
            mib(found.free),
            mib(most)
        )),
        Ok(_) => {}
    }
}

fn look_at_state_dir(folder: &Path, config: &Config, told: &mut Told) {
    let name = format!("state_dir {}", folder.display());
    // The proxy makes it, with the folders above it.
    let nearest = folder.ancestors().find(|one| exists(one));
    match look_at(or_here(nearest.unwrap_or(folder))) {
        Err(why) => return told.mistakes.push(format!("{name} {why}")),
        Ok(found) if nearest == Some(folder) && found.mode & (ANYBODY | STICKY) == ANYBODY => told
            .warnings
            .push(format!("everybody on this machine can change what is remembered in {name}: chmod o-w it")),
        Ok(_) => {}
    }
    match state::compare(config, false) {
        Ok(_) => {}
        Err(error @ StateError::Differs { .. }) => told.warnings.push(format!("a start will be refused: {error}")),
        Err(error) => told.mistakes.push(error.to_string()),
    }
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(or_here(path)).is_ok()
}

/// The folder above one that is named without any is this one.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// A folder that files can be made in.
#[derive(Debug)]
struct Folder {
    /// Bytes that this user may still write.
    free: u64,
    mode: u32,
}

/// Looks whether files can be made in a folder; why not, in words that follow its name.
fn look_at(path: &Path) -> Result<Folder, String> {
    let found = fs::metadata(path).map_err(|error| absent(&error))?;
    if !found.is_dir() {
        return Err("is no folder: give one that this user can write to".to_owned());
    }
    let writable = accessat(CWD, path, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
    writable.map_err(|errno| closed(errno, &found))?;
    let system = statvfs(path).map_err(|errno| format!("does not say what is free ({errno}): give another folder"))?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    // A file system that counts no files has room for any number.
    if free < FREE_MIN || system.f_files > 0 && system.f_favail == 0 {
        return Err("is on a full disk: make room there, or give another folder".to_owned());
    }
    Ok(Folder { free, mode: found.mode() })
}

fn absent(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist: make it, or give another folder".to_owned(),
        io::ErrorKind::NotADirectory => "is below something that is no folder: correct the path".to_owned(),
        _ => format!("cannot be looked at ({error}): let this user reach it, or give another folder"),
    }
}

fn closed(errno: Errno, found: &Metadata) -> String {
    if errno == Errno::ROFS {
        return "is on a file system that is mounted read-only: give another folder".to_owned();
    }
    let (mode, owner) = (found.mode() & 0o7777, found.uid());
    format!("takes no files of this user ({errno}; its mode is {mode:03o}, its owner {owner}): chown or chmod it")
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    fn told(text: &str) -> Told {
        look(&config(&format!("upstreams = [\"a:1\"]\n{text}")).unwrap())
    }

    #[test]
    fn every_folder_that_takes_nothing_is_told_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let (file, none) = (folder.path().join("file"), folder.path().join("none"));
        fs::write(&file, "").unwrap();
        let all = told(&format!("spool = {none:?}\nstate_dir = {file:?}\n"));
        assert!(all.mistakes[0].starts_with(&format!("spool {} does not exist: make it", none.display())), "{all:?}");
        assert!(all.mistakes[1].starts_with(&format!("state_dir {} is no folder", file.display())), "{all:?}");
        let below = told(&format!("spool = {:?}\nstate_dir = {:?}\n", file.join("a"), file.join("a/b")));
        assert!(below.mistakes[0].contains("is below something that is no folder"), "{below:?}");
        assert!(below.mistakes[1].contains("is no folder"), "{below:?}");
        let new = told(&format!("state_dir = {:?}\n", none.join("a")));
        assert!(new.mistakes.is_empty() && new.warnings.is_empty(), "{new:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn room_and_rights_are_looked_at() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let all = told(&format!("spool = {:?}\nlimits.spool_max = \"1024GiB\"\n", folder.path()));
        assert!(all.mistakes.is_empty() && all.warnings[0].contains("lets 1048576 MiB be kept there"), "{all:?}");
        assert!(told(&format!("spool = {:?}\nlimits.spool_max = \"1MiB\"\n", folder.path())).warnings.is_empty());
        let open = |mode| {
            fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).unwrap();
            told(&format!("state_dir = {:?}\n", folder.path())).warnings
        };
        assert!(open(0o777)[0].contains("everybody on this machine can change") && open(0o1777).is_empty());
        let found = fs::metadata(folder.path()).unwrap();
        assert!(closed(Errno::ROFS, &found).contains("read-only"));
        assert!(closed(Errno::ACCESS, &found).contains("its mode is 1777"));
    }

    #[test]
    fn what_is_remembered_otherwise_is_a_warning_and_garbage_a_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("placement.toml");
        let text = format!("state_dir = {:?}\n", folder.path());
        let other = config(&format!("upstreams = [\"b:1\"]\n{text}")).unwrap();
        state::prepare(&other, false).unwrap().keep().unwrap();
        let before = fs::read(&file).unwrap();
        let all = told(&text);
        assert!(all.mistakes.is_empty() && all.warnings[0].starts_with("a start will be refused: number 0"), "{all:?}");
        assert_eq!(fs::read(&file).unwrap(), before);
        fs::write(&file, "x").unwrap();
        assert!(told(&text).mistakes[0].contains("is not what pdw-proxy wrote"));
    }
}
