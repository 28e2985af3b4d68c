//! What happens in a script, told line by line to whoever set `PDW_INPUT`.

use std::sync::LazyLock;

use pdw_router::Input;

static TOLD: LazyLock<bool> = LazyLock::new(|| std::env::var_os("PDW_INPUT").is_some());

/// Prints a line, if somebody listens.
pub(super) fn tell(line: impl FnOnce() -> String) {
    if *TOLD {
        println!("{}", line());
    }
}

/// An input of the router, with as much of its bytes as people read.
pub(super) fn input(input: &Input<'_>) -> String {
    match input {
        Input::SessionBytes(key, bytes) => format!("{key:?} sends {}", text(bytes)),
        Input::LinkBytes(key, bytes) => format!("{key:?} answers {}", text(bytes)),
        other => format!("{other:?}"),
    }
}

/// As much of some bytes as people read.
pub(super) fn text(bytes: &[u8]) -> String {
    let more = if bytes.len() > SHOWN { format!(" ... {} bytes", bytes.len()) } else { String::new() };
    format!("{}{more}", bytes[..bytes.len().min(SHOWN)].escape_ascii())
}

/// The same of a request.
pub(super) fn words(args: &[Vec<u8>]) -> String {
    args.iter().map(|arg| text(&arg[..arg.len().min(40)])).collect::<Vec<_>>().join(" ")
}

const SHOWN: usize = 200;
