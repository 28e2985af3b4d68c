//! What can be wrong with a configuration: every mistake with its line, its option and the remedy.

use std::fmt;
use std::path::PathBuf;

use pdw_auth::users::{LineError, NetworkError, RuleError as UserRuleError};
use pdw_router::place::{PlacementError, RuleError};

use super::address::AddressError;

/// Where in the configuration something was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Nowhere: the default holds.
    #[default]
    Default,
    /// A line of the file, counted from 1.
    Line(usize),
    /// The command line.
    Flag,
}

/// A value together with where it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sited<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read ({0}); give the path of a readable TOML file")]
    Unreadable(String),
    /// The file is not TOML.
    #[error("not TOML at column {column}: {message}; texts stand in quotes, lists in brackets")]
    Syntax {
        /// Column of the line, counted from 1.
        column: usize,
        /// The parser's own words.
        message: String,
    },
    /// No option has this name.
    #[error("unknown option; {}", did_you_mean(.nearest, "`pdw-proxy reference` lists all options"))]
    UnknownOption {
        /// The option with the most similar name.
        nearest: Option<String>,
    },
    /// A table of options that the entry has not.
    #[error("unknown entry; {}", did_you_mean(.nearest, &format!("there are {known}")))]
    UnknownEntry {
        /// The most similar entry.
        nearest: Option<String>,
        /// All entries, for the reader.
        known: String,
    },
    /// An entry that must be there.
    #[error("`{0}` is missing; add it")]
    Missing(&'static str),
    /// Another type of value.
    #[error("{found} where {expected} is expected; write {example}")]
    WrongType {
        /// What was found.
        found: &'static str,
        /// What the option takes.
        expected: &'static str,
        /// How it is written.
        example: &'static str,
    },
    /// A text that is not a size.
    #[error("`{0}` is no size; write a number of bytes or a number with B, KiB, MiB or GiB, as in \"64KiB\"")]
    BadSize(String),
    /// A text that is not a duration.
    #[error("`{0}` is no duration; write a number with ms, s, min or h, as in \"250ms\"")]
    BadDuration(String),
    /// A number outside the option's range.
    #[error("{value} is out of range; choose between {low} and {high}")]
    OutOfRange {
        /// The value as given.
        value: String,
        /// The smallest value.
        low: String,
        /// The largest value.
        high: String,
    },
    /// A word that is none of the choices.
    #[error("`{value}` is none of {choices}{}", .nearest.as_ref().map_or(String::new(), |word| format!("; did you mean `{word}`?")))]
    NotAChoice {
        /// The word as given.
        value: String,
        /// All words.
        choices: String,
        /// The most similar word.
        nearest: Option<String>,
    },
    /// An address that cannot be parsed.
    #[error("`{text}` is no address: {error}")]
    Address {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        error: AddressError,
    },
    /// Port 0 where somebody must be dialled.
    #[error("port 0 cannot be dialled; write the port on which the instance listens")]
    PortZero,
    /// The same thing twice.
    #[error("{what} `{text}` is given twice{}; remove one", first_line(.first))]
    Twice {
        /// What kind of thing.
        what: &'static str,
        /// The thing.
        text: String,
        /// Where it was first.
        first: Place,
    },
    /// An upstream that is a listener of this very proxy.
    #[error("the proxy would connect to its own listener {listener}; give the upstream's address or listen elsewhere")]
    OwnListener {
        /// The listener.
        listener: String,
    },
    /// An option that the chosen placement does not have.
    #[error("placement `{placement}` takes no {what}; remove it or choose placement {instead}")]
    NotOfPlacement {
        /// The placement in force.
        placement: &'static str,
        /// What it does not take.
        what: &'static str,
        /// Which placements do.
        instead: &'static str,
    },
    /// An entry that the chosen seal does not have.
    #[error("seal `{seal}` takes no such entry; remove it, or choose seal `{instead}`")]
    NotOfSeal {
        /// The seal in force.
        seal: &'static str,
        /// Which seals take it.
        instead: String,
    },
    /// More of something than there may be.
    #[error("more than {0}; remove the others")]
    TooMany(usize),
    /// What should be a public key is none.
    #[error(transparent)]
    Key(#[from] pdw_auth::KeyError),
    /// A list of shards that the placement refuses.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// A rule that the router refuses.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A hash tag of one character, or of more than two.
    #[error("`{0}` is no hash tag; write two ASCII characters, as in \"{{}}\", or \"\" to hash whole keys")]
    HashTag(String),
    /// An option that needs a rule which the profile has not.
    #[error("there is no rule for it under profile `redis`; choose profile `pdwfs` or write a [[rule]]")]
    NoRule,
    /// A spool under profile `redis`.
    #[error(
        "profile `redis` sends nothing again, so nothing need be kept for it; remove `spool`, or choose profile `pdwfs`"
    )]
    UselessSpool,
    /// A spool where large requests travel on.
    #[error("the upstreams are peers, and what travels on framed links is kept in no file; remove `spool`")]
    SpoolBeforePeers,
    /// A filter of log lines that cannot be parsed.
    #[error("`{text}` is no log filter ({reason}); write a level (error, warn, info, debug, trace) or target=level")]
    LogFilter {
        /// The text as given.
        text: String,
        /// The parser's words.
        reason: String,
    },
    /// Two options that do not fit.
    #[error("{value} is {than} {other} ({limit}), but {why}; lower the one or raise the other")]
    MoreThan {
        /// This option's value.
        value: String,
        /// "more than", or "no less than" if they are equal and must not be.
        than: &'static str,
        /// The other option.
        other: &'static str,
        /// Its value.
        limit: String,
        /// Why the relation must hold.
        why: &'static str,
    },
    /// Two options that do not fit, seen from the other side.
    #[error("{value} is {than} {other} ({limit}), but {why}; raise the one or lower the other")]
    LessThan {
        /// This option's value.
        value: String,
        /// "less than", or "no more than" if they are equal and must not be.
        than: &'static str,
        /// The other option.
        other: &'static str,
        /// Its value.
        limit: String,
        /// Why the relation must hold.
        why: &'static str,
    },
    /// A relation that the core demands.
    #[error("{0}")]
    Limits(&'static str),
    /// A name that cannot stand in a line of the log.
    #[error("`{0}` is no name; write at most 64 ASCII characters without spaces")]
    Name(String),
    /// Peers without any.
    #[error("there are no `upstreams`; name the proxies of the next level, or choose `shards`")]
    NoPeers,
    /// A rule of a user.
    #[error(transparent)]
    UserRule(#[from] UserRuleError),
    /// A user's name with a space in it.
    #[error("a user's name has no spaces; remove them")]
    UserName,
    /// A file with users that cannot be read.
    #[error("{path} cannot be read ({reason}); give the path of a readable file")]
    UsersUnreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A line of a file with users.
    #[error("{path}:{line}: {error}")]
    UsersFile {
        /// The file.
        path: String,
        /// Its line, counted from 1.
        line: usize,
        /// What is wrong.
        error: LineError,
    },
    /// Users here and there.
    #[error("users come from this file or from [[user]], not from both; move them into one")]
    UsersInTwoPlaces,
    /// A listener's user that there is not.
    #[error("there is no user `{0}`; add it under [[user]] or to the file of `users`")]
    NoSuchUser(String),
    /// A listener's user that nobody may be.
    #[error("user `{0}` is off, so nobody may be it; add `on` to its rules")]
    UserIsOff(String),
    /// A range of addresses that cannot be parsed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// `from` without `user`.
    #[error("`from` says who is `user` without a password; add `user`")]
    FromWithoutUser,
    /// `from` where nobody has an address.
    #[error("who comes by a UNIX socket has no address; remove `from`, and say by `mode` who may use the socket")]
    FromOfSocket,
    /// `mode` of what is no file.
    #[error("a TCP port has no `mode`; remove it, and say by `from` who is `user`")]
    ModeOfPort,
    /// Permissions that cannot be parsed.
    #[error("`{0}` are no permissions; write them in octal digits, as in \"0660\"")]
    Mode(String),
    /// A file with a password that cannot be read.
    #[error("{path} cannot be read ({reason}); give the path of a file with the password in its first line")]
    SecretUnreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A file with a password that everybody may read.
    #[error("everybody on this machine may use {0}; `chmod 600 {0}`")]
    SecretExposed(String),
    /// A file with a password that holds none.
    #[error("the first line of {0} is empty; write the password there")]
    SecretEmpty(String),
    /// A variable that is not set.
    #[error("the environment has no variable `{0}`, or it is empty; set it to the password")]
    NoSuchVariable(String),
    /// A password from two places.
    #[error("`password_file` and `password_env` are both given; remove one")]
    TwoPasswords,
    /// A user without a password.
    #[error("`user` needs `password_file` or `password_env`; add one")]
    NoPassword,
    /// A name of no characters.
    #[error("empty; write a name")]
    EmptyName,
    /// A list of upstreams without any, which somebody who wants instances of the proxy's own leaves out.
    #[error("empty; write at least one, or remove the option to serve from instances of the proxy's own")]
    NoUpstream,
    /// Nothing where something is needed.
    #[error("empty; write at least one")]
    Empty,
}

fn did_you_mean(nearest: &Option<String>, otherwise: &str) -> String {
    nearest.as_ref().map_or_else(|| otherwise.to_owned(), |name| format!("did you mean `{name}`?"))
}

fn first_line(first: &Place) -> String {
    match first {
        Place::Line(line) => format!(" (first on line {line})"),
        _ => String::new(),
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands.
    pub place: Place,
    /// The option's dotted name; empty when it is about the whole file.
    pub option: String,
    /// What is wrong.
    pub problem: Problem,
}

/// Mistakes as they are found.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Mistake>);

impl Findings {
    pub(crate) fn add(&mut self, place: Place, option: impl Into<String>, problem: Problem) {
        self.0.push(Mistake { place, option: option.into(), problem });
    }

    /// Whether an option, or an entry of it, has a mistake.
    pub(crate) fn concern(&self, option: &str) -> bool {
        self.0.iter().any(|mistake| mistake.option.split('.').next() == Some(option))
    }

    /// The value of a result; its problem, if it has one instead, is added.
    pub(crate) fn take<T>(&mut self, place: Place, option: &str, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.add(place, option, problem)).ok()
    }

    /// All mistakes in the order of the file, or nothing if there is none. On a line that is not TOML the values
    /// are guesses of the parser, so only its syntax is reported.
    pub(crate) fn into_mistakes(self, file: Option<PathBuf>) -> Result<(), Mistakes> {
        let broken = |mistake: &Mistake| matches!(mistake.problem, Problem::Syntax { .. });
        let lines: Vec<Place> = self.0.iter().filter(|mistake| broken(mistake)).map(|mistake| mistake.place).collect();
        let mut list: Vec<Mistake> =
            self.0.into_iter().filter(|mistake| broken(mistake) || !lines.contains(&mistake.place)).collect();
        list.sort_by_key(|mistake| mistake.place);
        if list.is_empty() { Ok(()) } else { Err(Mistakes { file, list }) }
    }
}

/// Every mistake of one configuration, in the order of the file; never empty when it is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The file, if there was one.
    pub file: Option<PathBuf>,
    /// The mistakes.
    pub list: Vec<Mistake>,
}

impl std::error::Error for Mistakes {}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            self.write_one(mistake, f)?;
        }
        Ok(())
    }
}

impl Mistakes {
    /// `FILE:LINE: option: problem; remedy`, or `--flag: problem; remedy`.
    fn write_one(&self, mistake: &Mistake, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        match mistake.place {
            Place::Line(line) => write!(f, "{file}:{line}: ")?,
            Place::Default if !file.is_empty() => write!(f, "{file}: ")?,
            _ => {}
        }
        match (mistake.place, mistake.option.as_str()) {
            (_, "") => {}
            (Place::Flag, option) => write!(f, "--{}: ", flag_name(option))?,
            (_, option) => write!(f, "{option}: ")?,
        }
        write!(f, "{}", mistake.problem)
    }
}

/// The flag that sets an option or an entry of it: one of a list is given per flag, so the flag's name is singular.
fn flag_name(option: &str) -> &str {
    match option {
        option if option.split('.').next() == Some("upstreams") => "upstream",
        "group.kind" => "group",
        option => option,
    }
}
