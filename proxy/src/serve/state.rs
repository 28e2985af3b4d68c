//! What a proxy remembers in `state_dir`: by what the keys on its instances are placed.
//!
//! A later start by another list of upstreams, or another placement, would look for them elsewhere and find nothing.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pdw_router::place::Rule;
use tempfile::NamedTempFile;
use toml::{Table, Value};

use crate::config::Config;

/// The file's name.
const FILE: &str = "placement.toml";

const HEAD: &str = "# Written by pdw-proxy: by this the keys on its instances are placed. See state_dir.\n";

/// Why a proxy with a state does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    /// The file cannot be read.
    #[error("{} cannot be read ({source}): give `state_dir` a folder of this user's own", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("{} cannot be written ({source}): give `state_dir` a folder that this user can write to", .file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else is in the file.
    #[error(
        "{} is not what pdw-proxy wrote there ({what}): if the upstreams and the placement are those by which the keys \
         were placed, remove it and it is written anew", .file.display()
    )]
    Garbage {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The keys were placed otherwise.
    #[error(
        "{what}, says {}: keys that are on the instances would no longer be found. Restore that; or, if the instances \
         hold nothing that matters, start once with --accept-upstreams", .file.display()
    )]
    Differs {
        /// The file.
        file: PathBuf,
        /// The first difference.
        what: String,
    },
}

/// What is to be remembered by a proxy that has its listeners. One that gets none leaves the state as it is: it may be
/// that of the proxy which has them.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Pending(Option<(NamedTempFile, PathBuf)>);

impl Pending {
    /// Remembers it. Whole or not at all: a file that has been written is put over the old one.
    ///
    /// # Errors
    /// The file cannot be put there.
    pub(super) fn keep(self) -> Result<(), StateError> {
        let Some((beside, file)) = self.0 else { return Ok(()) };
        put(beside, &file).map_err(|source| StateError::Write { file, source })
    }
}

/// Compares the configuration with what is remembered, and has it remembered if nothing was. `accept`: also if something
/// else was.
///
/// # Errors
/// It differs, or the file cannot be read or understood, or none can be written in its place.
pub(super) fn prepare(config: &Config, accept: bool) -> Result<Pending, StateError> {
    let Some(folder) = config.remembered_in() else { return Ok(Pending::default()) };
    if compare(config, accept)? {
        return Ok(Pending::default());
    }
    let (file, text) = (folder.join(FILE), format!("{HEAD}{}", record(config)));
    let beside = write_beside(folder, &text).map_err(|source| StateError::Write { file: file.clone(), source })?;
    Ok(Pending(Some((beside, file))))
}

/// Whether it is just this configuration that is remembered; if not, it may be. `accept`: as another one may.
///
/// # Errors
/// Another one is remembered, or the file cannot be read or understood.
pub(super) fn compare(config: &Config, accept: bool) -> Result<bool, StateError> {
    let Some(folder) = config.remembered_in() else { return Ok(true) };
    let file = folder.join(FILE);
    let before = match std::fs::read_to_string(&file) {
        Ok(_) if accept => return Ok(false),
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(StateError::Garbage { file, what: error.to_string() });
        }
        Err(source) => return Err(StateError::Read { file, source }),
    };
    let before = parse(&before).map_err(|what| StateError::Garbage { file: file.clone(), what })?;
    difference(&before, &record(config)).map_or(Ok(true), |what| Err(StateError::Differs { file, what }))
}

/// The single values of a record.
const SINGLE: [&str; 3] = ["placement", "hash", "hash_tag"];

fn record(config: &Config) -> Table {
    let options = &config.placement;
    let tag = options.hash_tag.map_or(String::new(), |tag| String::from_utf8_lossy(&tag).into_owned());
    let single = [options.kind.to_string(), options.hash.to_string(), tag];
    let mut table: Table =
        SINGLE.iter().map(|name| (*name).to_owned()).zip(single.into_iter().map(Value::String)).collect();
    let upstreams = config.upstreams.iter().map(|upstream| format!("{} weight {}", upstream.name, upstream.weight));
    table.insert("upstreams".to_owned(), Value::Array(upstreams.map(Value::String).collect()));
    table.insert("rules".to_owned(), Value::Array(config.rules.iter().map(rule).map(Value::String).collect()));
    table
}

fn rule(rule: &Rule) -> String {
    let Rule { name, keys, unless, layout, member, anchor } = rule;
    let mut text = format!("{name}: {keys} as {layout}");
    for (word, value) in [("unless", unless), ("member", member), ("anchor", anchor)] {
        if let Some(value) = value {
            text += &format!(" {word} {value}");
        }
    }
    text
}

/// What the text records.
fn parse(text: &str) -> Result<Table, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let is_text = |name: &&&str| table.get(**name).is_some_and(Value::is_str);
    let is_list =
        |name: &&&str| table.get(**name).and_then(Value::as_array).is_some_and(|list| list.iter().all(Value::is_str));
    let missing =
        SINGLE.iter().find(|name| !is_text(name)).or(["upstreams", "rules"].iter().find(|name| !is_list(name)));
    missing.map_or(Ok(table.clone()), |name| Err(format!("it has no {name}")))
}

/// The first difference, in words.
fn difference(before: &Table, now: &Table) -> Option<String> {
    let single = SINGLE.iter().find(|name| before.get(**name) != now.get(**name));
    if let Some(name) = single {
        return Some(format!("{name} was {} and is {}", shown(before.get(*name)), shown(now.get(*name))));
    }
    ["upstreams", "rules"].iter().find_map(|name| list_difference(name, &list(before, name), &list(now, name)))
}

fn list<'a>(table: &'a Table, name: &str) -> Vec<&'a Value> {
    table.get(name).and_then(Value::as_array).into_iter().flatten().collect()
}

fn list_difference(name: &str, before: &[&Value], now: &[&Value]) -> Option<String> {
    let longest = before.len().max(now.len());
    let index = (0..longest).find(|index| before.get(*index) != now.get(*index))?;
    let at = |list: &[&Value]| shown(list.get(index).copied());
    Some(format!("number {index} of {name} was {} and is {}", at(before), at(now)))
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

fn write_beside(folder: &Path, text: &str) -> io::Result<NamedTempFile> {
    std::fs::create_dir_all(folder)?;
    let mut beside = NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.as_file().sync_all()?;
    Ok(beside)
}

fn put(beside: NamedTempFile, file: &Path) -> io::Result<()> {
    beside.persist(file).map_err(|error| error.error)?;
    File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    fn settled(folder: &Path, text: &str, accept: bool) -> Result<(), String> {
        let config = config(&format!("state_dir = {folder:?}\n{text}")).unwrap();
        prepare(&config, accept).and_then(Pending::keep).map_err(|error| error.to_string())
    }

    #[test]
    fn another_list_or_placement_is_refused_until_it_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made");
        let two = "upstreams = [\"a:1\", \"b:1\"]\n";
        settled(&folder, two, false).unwrap();
        settled(&folder, two, false).unwrap();
        for (other, what) in [
            ("upstreams = [\"b:1\", \"a:1\"]\n", "number 0 of upstreams was \"a:1 weight 1\" and is \"b:1 weight 1\""),
            ("upstreams = [\"a:1\"]\n", "number 1 of upstreams was \"b:1 weight 1\" and is nothing"),
            ("upstreams = [\"a:1\", \"b:1\"]\nplacement = \"slots\"\n", "placement was \"pdwfs\" and is \"slots\""),
            ("upstreams = [\"a:1\", \"b:1\"]\nspread_children = true\n", "of rules was"),
        ] {
            let told = settled(&folder, other, false).unwrap_err();
            assert!(told.contains(what) && told.contains("--accept-upstreams"), "{told}");
        }
        let moved = "upstreams = [{address = \"c:1\", name = \"a:1\"}, \"b:1\"]\n";
        settled(&folder, moved, false).unwrap();
        settled(&folder, "upstreams = [\"b:1\", \"a:1\"]\n", true).unwrap();
        settled(&folder, two, false).unwrap_err();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_not_kept_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let one = config(&format!("state_dir = {:?}\nupstreams = [\"a:1\"]\n", folder.path())).unwrap();
        drop(prepare(&one, false).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        settled(folder.path(), "upstreams = [\"b:1\"]\n", false).unwrap();
        drop(prepare(&one, true).unwrap());
        settled(folder.path(), "upstreams = [\"b:1\"]\n", false).unwrap();
    }

    #[test]
    fn garbage_is_told_with_the_remedy_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let cases: [&[u8]; 5] = [
            b"",
            b"\xff\xfe",
            b"placement = ",
            b"placement = 1\n",
            b"placement = \"x\"\nhash = \"\"\nhash_tag = \"\"\nupstreams = [1]\nrules = []\n",
        ];
        for garbage in cases {
            std::fs::write(&file, garbage).unwrap();
            let told = settled(folder.path(), "upstreams = [\"a:1\"]\n", false).unwrap_err();
            assert!(told.contains("is not what pdw-proxy wrote") && told.contains("remove it"), "{told}");
            assert_eq!(std::fs::read(&file).unwrap(), garbage);
        }
    }

    #[test]
    fn own_instances_and_peers_are_not_remembered_and_a_folder_that_is_a_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        settled(folder.path(), "instances = 2\n", false).unwrap();
        settled(folder.path(), "upstreams = [\"a:1\", \"b:1\"]\ngroup.kind = \"peers\"\n", false).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let told = settled(&file, "upstreams = [\"a:1\"]\n", false).unwrap_err();
        assert!(told.contains("state_dir"), "{told}");
    }
}
