//! Runs suites through trees of one, two and three levels with every seal on every hop, and prints what came of it.
//!
//!     matrix [--programs FOLDER] [--output FILE] [SUITE|SEAL|LEVELS ...]
//!
//! Words choose among suites, seals and levels; without any of a kind, all of it. `--programs`: where the suites' test
//! programs are, by their names; without it cargo builds them. `make matrix` is how it is run.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pdw_tests::hop::Seal;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

/// What the first three issues' tests are in.
const SUITES: [&str; 5] = ["differential", "pdwfs", "large", "failure", "isolation"];
const LEVELS: [&str; 3] = ["1", "2", "3"];
/// Tests at once: most of them wait.
const AT_ONCE: &str = "--test-threads=3";
/// How long a suite, or one test, may take.
const LIMIT: Duration = Duration::from_secs(1200);
/// As `make tests` builds them, so that nothing is built twice.
const BUILD: [&str; 6] =
    ["test", "--no-run", "--workspace", "--features", "pdw-proxy/mutants", "--message-format=json"];

fn main() -> io::Result<ExitCode> {
    let choice = Choice::read(std::env::args().skip(1))?;
    let mut cells = Vec::new();
    for suite in choice.of(&SUITES) {
        let program = choice.program(suite)?;
        for levels in choice.of(&LEVELS) {
            for seal in choice.of(&Seal::ALL.map(Seal::name)) {
                let cell = Cell::run(suite, levels, seal, &program)?;
                writeln!(io::stderr(), "{suite}, {levels} levels, {seal}: {}", cell.text())?;
                cells.push(cell);
            }
        }
    }
    let report = report(&cells);
    writeln!(io::stdout(), "{report}")?;
    if let Some(file) = &choice.output {
        fs::write(file, report)?;
    }
    let failed = cells.iter().any(|cell| !cell.failed.is_empty());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[derive(Default)]
struct Choice {
    words: Vec<String>,
    programs: Option<PathBuf>,
    output: Option<PathBuf>,
}

impl Choice {
    fn read(mut arguments: impl Iterator<Item = String>) -> io::Result<Choice> {
        let (mut choice, seals) = (Choice::default(), Seal::ALL.map(Seal::name));
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--programs" => choice.programs = arguments.next().map(PathBuf::from),
                "--output" => choice.output = arguments.next().map(PathBuf::from),
                word if SUITES.iter().chain(&LEVELS).chain(&seals).any(|known| *known == word) => {
                    choice.words.push(argument);
                }
                other => return Err(io::Error::other(format!("{other} is no suite, no seal, no number of levels"))),
            }
        }
        Ok(choice)
    }

    /// Those of `all` that were asked for.
    fn of<'a>(&self, all: &[&'a str]) -> Vec<&'a str> {
        let named: Vec<&str> = all.iter().copied().filter(|one| self.words.iter().any(|word| word == one)).collect();
        if named.is_empty() { all.to_vec() } else { named }
    }

    /// A suite's test program.
    fn program(&self, suite: &str) -> io::Result<PathBuf> {
        if let Some(folder) = &self.programs {
            return fs::canonicalize(folder.join(suite));
        }
        let mut command = Command::new("cargo");
        let built = command.args(BUILD).args(["--test", suite]).stderr(Stdio::inherit()).output()?.stdout;
        let messages = built.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let ours = messages.filter(|message| message["target"]["name"] == suite && message["profile"]["test"] == true);
        let found = ours.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
        found.ok_or_else(|| io::Error::other(format!("{suite} could not be built")))
    }
}

/// What came of one suite with one seal through so many levels.
struct Cell {
    suite: String,
    levels: String,
    seal: String,
    passed: usize,
    /// Those that passed when they were run again, alone.
    again: Vec<String>,
    failed: Vec<String>,
    /// Names and reasons.
    skipped: BTreeSet<String>,
    time: Duration,
}

impl Cell {
    fn run(suite: &str, levels: &str, seal: &str, program: &Path) -> io::Result<Cell> {
        let folder = Path::new("target/matrix");
        fs::create_dir_all(folder)?;
        let log = |part: &str| folder.join(format!("{suite}-{seal}-{levels}{part}.log"));
        let started = Instant::now();
        let text = run(program, &[AT_ONCE], [levels, seal], &log(""))?;
        let ended = |how: &str| -> Vec<String> {
            let ends = text.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(how));
            ends.map(|name| name.trim_end_matches(" ... ").to_owned()).collect()
        };
        let (mut passed, mut again, mut failed) = (ended(" ... ok").len(), Vec::new(), Vec::new());
        for name in ended(" ... FAILED") {
            let second = run(program, &["--exact", &name], [levels, seal], &log(".again"))?;
            if second.contains("test result: ok. 1 passed") { again.push(name) } else { failed.push(name) }
        }
        if !text.contains("test result: ") {
            failed.push("all: it did not come to an end".to_owned());
        }
        let why = text.lines().filter_map(|line| line.split_once("SKIPPED: ")).map(|(_, why)| why.to_owned());
        let skipped: BTreeSet<String> = why.collect();
        passed -= skipped.len().min(passed);
        let [suite, levels, seal] = [suite, levels, seal].map(str::to_owned);
        Ok(Cell { suite, levels, seal, passed, again, failed, skipped, time: started.elapsed() })
    }

    fn text(&self) -> String {
        let mut text = format!("{} passed", self.passed + self.again.len());
        let mut add = |count: usize, what: &str| {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        };
        add(self.again.len(), "of them the second time");
        add(self.failed.len(), "failed");
        add(self.skipped.len(), "skipped");
        format!("{text}, {} s", self.time.as_secs())
    }
}

/// Runs a test program; what it has said.
fn run(program: &Path, arguments: &[&str], [levels, seal]: [&str; 2], log: &Path) -> io::Result<String> {
    let output = File::create(log)?;
    let mut command = Command::new(program);
    command.args(arguments).env("PDW_LEVELS", levels).env("PDW_SEAL", seal).process_group(0);
    let mut child = command.stdout(output.try_clone()?).stderr(output).spawn()?;
    let started = Instant::now();
    while child.try_wait()?.is_none() {
        if started.elapsed() > LIMIT
            && let Some(group) = Pid::from_raw(child.id() as i32)
        {
            kill_process_group(group, Signal::KILL)?;
        }
        thread::sleep(Duration::from_millis(50));
    }
    fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn report(cells: &[Cell]) -> String {
    let seals: Vec<&str> =
        Seal::ALL.map(Seal::name).into_iter().filter(|seal| cells.iter().any(|c| c.seal == *seal)).collect();
    let mut lines = vec![
        "# Suites through levels and seals".to_owned(),
        String::new(),
        "`make matrix` runs the end-to-end suites with every hop sealed, from clients to instances, through one proxy and".to_owned(),
        "through trees of two and three levels (`PDW_LEVELS`, `PDW_SEAL`; CONTRIBUTING.md), and writes this page.".to_owned(),
        String::new(),
        format!("| suite | levels | {} |", seals.join(" | ")),
        format!("|---|---|{}", "---|".repeat(seals.len())),
    ];
    let rows: BTreeSet<(usize, &str)> = cells
        .iter()
        .map(|cell| (SUITES.iter().position(|suite| *suite == cell.suite).unwrap_or(0), cell.levels.as_str()))
        .collect();
    for (at, levels) in rows {
        let cell = |seal: &&str| {
            let of = |cell: &&Cell| cell.suite == SUITES[at] && cell.levels == levels && cell.seal == **seal;
            cells.iter().find(of).map_or_else(String::new, Cell::text)
        };
        lines.push(format!(
            "| {} | {levels} | {} |",
            SUITES[at],
            seals.iter().map(cell).collect::<Vec<_>>().join(" | ")
        ));
    }
    let mut notes = |title: &str, of: fn(&Cell) -> Vec<String>| {
        let named =
            |cell: &Cell| of(cell).into_iter().map(|what| format!("{}: {what}", cell.suite)).collect::<Vec<_>>();
        let all: BTreeSet<String> = cells.iter().flat_map(named).collect();
        if !all.is_empty() {
            lines.extend([String::new(), title.to_owned(), String::new()]);
            lines.extend(all.into_iter().map(|what| format!("- {what}")));
        }
    };
    notes("Skipped, and why:", |cell| cell.skipped.iter().cloned().collect());
    notes("Passed only when they were run again, alone (they measure time, and the machine was busy):", |cell| {
        cell.again.clone()
    });
    notes("Failed:", |cell| cell.failed.clone());
    lines.join("\n") + "\n"
}
