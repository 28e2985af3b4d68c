//! What `strace -f -o` writes, as far as it matters here.

use std::collections::HashMap;
use std::io;

/// What a client has the proxy echo where the watched part begins.
pub(crate) const BEGIN: &str = "the-watched-part-begins";
/// And where it ends.
pub(crate) const END: &str = "the-watched-part-ends";

const WAITS: [&str; 3] = ["epoll_wait", "epoll_pwait", "epoll_pwait2"];
const READS: [&str; 4] = ["read", "recvfrom", "readv", "recvmsg"];
/// Now and then the allocator asks for these; that it need not, the test of allocations shows.
const MEMORY: [&str; 4] = ["brk", "mmap", "mprotect", "munmap"];
const WRITES: [&str; 4] = ["write", "sendto", "writev", "sendmsg"];

/// One system call as it was begun.
#[derive(Debug)]
struct Call {
    name: String,
    /// Its first argument, if that is a number.
    descriptor: Option<u32>,
    /// When it was begun, seconds.
    at: f64,
}

/// After so long, seconds, a turn writes what it has read, and reads on (`worker/reading.rs`): under strace, which makes
/// every call ten times as long, or on a busy machine, some turns last longer. That is 2 ms, less what passes before a
/// turn's first call.
const SLICE: f64 = 0.0018;

impl Call {
    /// The call of a line `THREAD TIME NAME(ARGUMENTS`; `None` for the second half of one, and for signals.
    fn parse(line: &str) -> Option<(&str, Call)> {
        let (thread, rest) = line.split_once(' ')?;
        let (time, rest) = rest.trim_start().split_once(' ')?;
        let at = time.parse().ok()?;
        let (name, arguments) = rest.trim_start().split_once('(')?;
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let digits: String = arguments.chars().take_while(char::is_ascii_digit).collect();
        plain.then(|| (thread, Call { name: name.to_owned(), descriptor: digits.parse().ok(), at }))
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }
}

/// The system calls of the thread that serves, between the two marks.
#[derive(Debug)]
pub(crate) struct Trace {
    calls: Vec<Call>,
}

impl Trace {
    /// The calls between the marks, of the thread that read them.
    ///
    /// # Errors
    /// When a mark is not there (yet).
    pub(crate) fn between_marks(text: &str) -> io::Result<Trace> {
        let lines: Vec<&str> = text.lines().collect();
        let marked = |mark: &str| {
            let found = lines.iter().position(|line| line.contains(mark));
            found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, mark.to_owned()))
        };
        let (begin, end) = (marked(BEGIN)?, marked(END)?);
        let server = lines[begin].split(' ').next().unwrap_or_default();
        let calls = lines[begin + 1..end].iter().filter_map(|line| Call::parse(line));
        Ok(Trace { calls: calls.filter(|(thread, _)| *thread == server).map(|(_, call)| call).collect() })
    }

    /// Whole turns: from one wait to the next. What came before the first belongs to the mark.
    fn whole_turns(&self) -> impl Iterator<Item = &[Call]> {
        self.calls.split(|call| call.is_one_of(&WAITS)).skip(1)
    }

    pub(crate) fn turns(&self) -> usize {
        self.whole_turns().count()
    }

    pub(crate) fn reads(&self) -> usize {
        self.calls.iter().filter(|call| call.is_one_of(&READS)).count()
    }

    /// Calls that a turn did not need.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.whole_turns().enumerate().flat_map(|(turn, calls)| superfluous(turn, calls)).collect()
    }
}

fn superfluous(turn: usize, calls: &[Call]) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen: HashMap<(bool, Option<u32>), usize> = HashMap::new();
    for call in calls.iter().filter(|call| !call.is_one_of(&MEMORY)) {
        let (reads, writes) = (call.is_one_of(&READS), call.is_one_of(&WRITES));
        if !reads && !writes {
            found.push(format!("turn {turn}: {}", call.name));
            continue;
        }
        let times = seen.entry((reads, call.descriptor)).or_default();
        *times += 1;
        let slices = calls.first().map_or(0.0, |first| (call.at - first.at) / SLICE) as usize;
        if *times > 1 + slices {
            found.push(format!("turn {turn}: {} of {:?} for the {times}. time", call.name, call.descriptor));
        }
    }
    found
}

#[cfg(test)]
fn trace_of(body: &str) -> Trace {
    let text = format!(
        "7 0.1 recvfrom(9, \"{BEGIN}\", 65536, 0, NULL, NULL) = 40\n7 0.1 sendto(9, \"x\", 1, 0, NULL, 0) = 1\n\
         7 0.1 epoll_wait(3, [], 1024, 100) = 2\n{body}7 0.1 epoll_wait(3, [], 1024, 100) = 1\n\
         7 0.1 recvfrom(9, \"{END}\", 65536, 0, NULL, NULL) = 38\n"
    );
    Trace::between_marks(&text).unwrap()
}

#[test]
fn one_read_and_one_write_of_each_socket_is_no_violation() {
    let trace = trace_of(
        "7 0.1 recvfrom(9, \"a\", 65536, 0, NULL, NULL) = 1\n8 0.1 read(9, \"a\", 1) = 1\n7 0.1 recvfrom(10,  <unfinished ...>\n\
         8 0.1 read(9, \"a\", 1) = 1\n7 0.1 <... recvfrom resumed>\"a\", 65536, 0, NULL, NULL) = 1\n\
         7 0.1 sendto(9, \"b\", 1, MSG_NOSIGNAL, NULL, 0) = 1\n7 0.1 sendto(10, \"b\", 1, MSG_NOSIGNAL, NULL, 0) = 1\n",
    );
    assert_eq!(trace.violations(), Vec::<String>::new());
    assert_eq!((trace.turns(), trace.reads()), (2, 2));
}

#[test]
fn a_second_read_or_write_in_a_turn_is_seen() {
    let read = "7 0.1 recvfrom(9, \"a\", 65536, 0, NULL, NULL) = 1\n";
    let write = "7 0.1 sendto(9, \"b\", 1, MSG_NOSIGNAL, NULL, 0) = 1\n";
    assert_eq!(trace_of(&read.repeat(2)).violations().len(), 1);
    assert_eq!(trace_of(&write.repeat(3)).violations().len(), 2);
    let apart = format!("{read}7 0.1 epoll_wait(3, [], 1024, 100) = 1\n{read}");
    assert_eq!(trace_of(&apart).violations(), Vec::<String>::new());
}

#[test]
fn a_turn_that_lasts_long_may_write_again() {
    let write = |at: &str| format!("7 {at} sendto(9, \"b\", 1, MSG_NOSIGNAL, NULL, 0) = 1\n");
    let violations = |times: [&str; 3]| trace_of(&times.map(write).concat()).violations().len();
    assert_eq!(violations(["0.1000", "0.1021", "0.1041"]), 0);
    assert_eq!(violations(["0.1000", "0.1001", "0.1021"]), 2);
    assert_eq!(violations(["0.1000", "0.1021", "0.1022"]), 1);
}

#[test]
fn anything_else_in_a_turn_is_seen() {
    for line in ["7 0.1 futex(0x7f, FUTEX_WAKE_PRIVATE, 1) = 0\n", "7 0.1 getpid( <unfinished ...>\n"] {
        assert_eq!(trace_of(line).violations().len(), 1, "{line}");
    }
}

#[test]
fn a_trace_without_its_end_is_not_judged() {
    assert!(Trace::between_marks(&format!("7 0.1 read(9, \"{BEGIN}\", 1) = 1\n")).is_err());
}
