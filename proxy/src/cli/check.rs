//! `pdw-proxy check`: every mistake of a file at once.

use super::{CheckArgs, print};
use crate::config::{Config, Mistakes};

/// Checks a file and says in one line what it describes; what is probably not meant goes to standard error.
///
/// # Errors
/// Every mistake of the file.
pub fn check(args: &CheckArgs) -> Result<(), Mistakes> {
    let config = Config::from_file(&args.file)?;
    for warning in &config.warnings {
        print::complain(&format_args!("{}: warning: {warning}", args.file.display()));
    }
    // Nobody reads the line where standard output is closed, and the file is no worse for it.
    let _ = print::all(summary(&config, args).as_bytes());
    Ok(())
}

fn summary(config: &Config, args: &CheckArgs) -> String {
    let shards = match config.embedded {
        true => format!("{} of its own", counted(config.instances, "instance")),
        false => counted(config.upstreams.len(), "upstream"),
    };
    let (file, profile, placement) = (args.file.display(), config.profile.name(), config.placement.kind);
    format!("{file}: good: profile {profile}, placement {placement} over {shards}\n")
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
