//! `pdw-proxy check`: every mistake of a file at once, and of what it names.

use super::{CheckArgs, print};
use crate::config::{Config, Mistakes};
use crate::serve;

/// Why a file is not good.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// What it says is wrong.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    /// Keys, certificates or folders that it names cannot be had; a line for each.
    #[error("{0}")]
    Absent(String),
}

/// Checks a file, with the keys, certificates and folders that it names, and says in one line what it describes; what is
/// probably not meant goes to standard error. Nothing on disk is changed.
///
/// # Errors
/// Every mistake of the file, or, if it has none, everything that is wrong with what it names.
pub fn check(args: &CheckArgs) -> Result<(), CheckError> {
    let config = Config::from_file(&args.file)?;
    let (seals, folders) = (serve::try_seals(&config), serve::look_at_folders(&config));
    let warnings = config.warnings.iter().map(ToString::to_string).chain(folders.warnings);
    for warning in warnings {
        print::complain(&format_args!("{}: warning: {warning}", args.file.display()));
    }
    let mistakes = seals.err().map(|error| error.to_string()).into_iter().chain(folders.mistakes);
    let mistakes: Vec<String> = mistakes.map(|lines| of_file(args, &lines)).collect();
    if !mistakes.is_empty() {
        return Err(CheckError::Absent(mistakes.join("\n")));
    }
    // Nobody reads the line where standard output is closed, and the file is no worse for it.
    let _ = print::all(summary(&config, args).as_bytes());
    Ok(())
}

/// Each line behind the name of the file.
fn of_file(args: &CheckArgs, lines: &str) -> String {
    let told: Vec<String> = lines.lines().map(|line| format!("{}: {line}", args.file.display())).collect();
    told.join("\n")
}

fn summary(config: &Config, args: &CheckArgs) -> String {
    let (file, profile) = (args.file.display(), config.profile.name());
    if config.peer_links.is_some() {
        let peers = counted(config.upstreams.len(), "peer");
        return format!("{file}: good: profile {profile}, where keys live is learned from {peers}\n");
    }
    let shards = match config.embedded {
        true => format!("{} of its own", counted(config.instances, "instance")),
        false => counted(config.upstreams.len(), "upstream"),
    };
    format!("{file}: good: profile {profile}, placement {} over {shards}\n", config.placement.kind)
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
