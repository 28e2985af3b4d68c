//! What the operator wants: keys of a terminal, or words on standard input.

use std::io;
use std::thread;

use ratatui::crossterm::event::{self, KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::embedded::Order;

/// One wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Choose the member of this position.
    Select(usize),
    /// Choose another, so many further down.
    Move(isize),
    /// Do this to the chosen one.
    Order(Order),
    /// Kill the chosen one and start it again.
    Restart,
    /// The load on, or off.
    Load,
    /// End everything.
    Quit,
    /// Something that cannot be understood.
    Unknown(String),
}

/// The words on standard input; a number behind one of the first four chooses first.
pub(super) const WORDS: &str = "kill N, stop N, continue N, restart N, load, quit";

/// Where wishes come from.
pub(super) struct Wishes(UnboundedReceiver<Wish>);

impl Wishes {
    /// Keys of the terminal, which is in raw mode.
    pub(super) fn of_keys() -> Self {
        let (give, wishes) = mpsc::unbounded_channel();
        // The thread ends with the process: there is no way to stop reading a terminal.
        thread::spawn(move || {
            while let Ok(event) = event::read() {
                let pressed = event.as_key_event().filter(|key| key.kind == KeyEventKind::Press);
                let wish = pressed.and_then(|key| of_key(key.code, key.modifiers));
                if wish.is_some_and(|wish| give.send(wish).is_err()) {
                    return;
                }
            }
            // Without a terminal nobody watches.
            let _ = give.send(Wish::Quit);
        });
        Self(wishes)
    }

    /// Lines of standard input. Its end is no wish: it may be closed from the start.
    pub(super) fn of_lines() -> Self {
        let (give, wishes) = mpsc::unbounded_channel();
        thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                for wish in of_line(&line) {
                    // Nobody listens any more.
                    let _ = give.send(wish);
                }
            }
        });
        Self(wishes)
    }

    /// The next wish. Cancel safe.
    pub(super) async fn next(&mut self) -> Wish {
        match self.0.recv().await {
            Some(wish) => wish,
            None => std::future::pending().await,
        }
    }
}

fn of_key(code: KeyCode, modifiers: KeyModifiers) -> Option<Wish> {
    if modifiers.contains(KeyModifiers::CONTROL) {
        return (code == KeyCode::Char('c')).then_some(Wish::Quit);
    }
    match code {
        KeyCode::Up => Some(Wish::Move(-1)),
        KeyCode::Down | KeyCode::Tab => Some(Wish::Move(1)),
        KeyCode::Char(digit @ '0'..='9') => digit.to_digit(10).map(|digit| Wish::Select(digit as usize)),
        KeyCode::Char('k') => Some(Wish::Order(Order::Kill)),
        KeyCode::Char('s') => Some(Wish::Order(Order::Stop)),
        KeyCode::Char('c') => Some(Wish::Order(Order::Continue)),
        KeyCode::Char('r') => Some(Wish::Restart),
        KeyCode::Char('l') => Some(Wish::Load),
        KeyCode::Char('q') | KeyCode::Esc => Some(Wish::Quit),
        _ => None,
    }
}

fn of_line(line: &str) -> Vec<Wish> {
    let mut words = line.split_whitespace();
    let wish = match words.next() {
        None => return Vec::new(),
        Some("kill") => Wish::Order(Order::Kill),
        Some("stop") => Wish::Order(Order::Stop),
        Some("continue") => Wish::Order(Order::Continue),
        Some("restart") => Wish::Restart,
        Some("load") => Wish::Load,
        Some("quit") => Wish::Quit,
        Some(_) => return vec![Wish::Unknown(line.trim().to_owned())],
    };
    match words.next().map(str::parse) {
        None => vec![wish],
        Some(Ok(index)) => vec![Wish::Select(index), wish],
        Some(Err(_)) => vec![Wish::Unknown(line.trim().to_owned())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_keys_mean_the_same() {
        assert_eq!(of_line("kill 2"), [Wish::Select(2), Wish::Order(Order::Kill)]);
        assert_eq!(of_line(" load \n"), [Wish::Load]);
        assert_eq!(of_line(""), []);
        assert_eq!(of_line("kill two"), [Wish::Unknown("kill two".to_owned())]);
        assert_eq!(of_line("maim 1"), [Wish::Unknown("maim 1".to_owned())]);
        assert_eq!(of_key(KeyCode::Char('k'), KeyModifiers::NONE), Some(Wish::Order(Order::Kill)));
        assert_eq!(of_key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Wish::Quit));
        assert_eq!(of_key(KeyCode::Char('x'), KeyModifiers::NONE), None);
    }
}
