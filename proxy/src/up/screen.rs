//! The picture on a terminal.

use std::io;

use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table};
use ratatui::{DefaultTerminal, Frame};

use super::scene::{Member, Scene, State, latency};

/// The terminal, in raw mode and on its other screen. Both end when this is dropped.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }

    /// Draws the picture.
    pub(super) fn draw(&mut self, scene: &Scene) -> io::Result<()> {
        self.0.draw(|frame| picture(frame, scene)).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = ratatui::try_restore();
    }
}

const KEYS: &str = " up/down or 0-9 choose | k kill | s stop | c continue | r restart | l load | q quit ";

fn picture(frame: &mut Frame<'_>, scene: &Scene) {
    let members = scene.members.len() as u16 + 3;
    let tries = scene.tries();
    let parts = [
        Constraint::Length(members),
        Constraint::Length(4),
        Constraint::Length(tries.len() as u16 + 2),
        Constraint::Min(3),
        Constraint::Length(1),
    ];
    let [processes, numbers, to_try, happened, keys] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(process_table(scene), processes);
    frame.render_widget(Paragraph::new(number_lines(scene)).block(titled(" first proxy ")), numbers);
    let tries: Vec<Line<'_>> = tries.into_iter().map(Line::from).collect();
    frame.render_widget(Paragraph::new(tries).block(titled(" try, in another terminal ")), to_try);
    frame.render_widget(Paragraph::new(news(scene, happened)).block(titled(" what happened ")), happened);
    frame.render_widget(Paragraph::new(KEYS).style(Style::new().add_modifier(Modifier::REVERSED)), keys);
}

fn titled(title: &str) -> Block<'_> {
    Block::bordered().title(title)
}

fn process_table(scene: &Scene) -> Table<'_> {
    let rows = scene.members.iter().enumerate().map(|(index, member)| process_row(scene, index, member));
    let widths = [
        Constraint::Length(4),
        Constraint::Length(12),
        Constraint::Length(9),
        Constraint::Length(8),
        Constraint::Length(18),
        Constraint::Min(10),
    ];
    let head = Row::new(["", "process", "state", "pid", "links of proxies", "address"]);
    let title = format!(" pdw-proxy up, {:.0} s ", scene.elapsed().as_secs_f64());
    let dim = Style::new().add_modifier(Modifier::DIM);
    Table::new(rows, widths).header(head.style(dim)).block(Block::bordered().title(title))
}

fn process_row<'a>(scene: &Scene, index: usize, member: &'a Member) -> Row<'a> {
    let chosen = scene.selected() == index;
    let mark = if chosen { ">" } else { " " };
    let link = match scene.link(index) {
        _ if !scene.is_linked(index) => String::new(),
        None => "unknown".to_owned(),
        Some((true, lost)) => format!("ready, retries {lost}"),
        Some((false, lost)) => format!("down, retries {lost}"),
    };
    let state = Cell::from(Span::styled(member.state.word(), Style::new().fg(color(member.state))));
    let cells = [
        Cell::from(format!("{mark} {index}")),
        Cell::from(member.name.as_str()),
        state,
        Cell::from(member.pid.map_or(String::new(), |pid| pid.to_string())),
        Cell::from(link),
        Cell::from(member.address.as_str()),
    ];
    let style = if chosen { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
    Row::new(cells).style(style)
}

fn color(state: State) -> Color {
    match state {
        State::Up => Color::Green,
        State::Starting | State::Stopped => Color::Yellow,
        State::Down | State::Died => Color::Red,
    }
}

fn number_lines(scene: &Scene) -> Vec<Line<'static>> {
    let load = &scene.load;
    let state = if load.on { "on" } else { "off" };
    let load = format!("load {state}: good {}, errors {}, sessions lost {}", load.good, load.errors, load.lost);
    let number = |name| scene.number(name);
    let (Some(sessions), Some(unanswered)) = (number("pdw_sessions"), number("pdw_requests_in_flight")) else {
        return vec![Line::from("the admin address does not answer"), Line::from(load)];
    };
    let rates = &scene.rates;
    let (half, most) = (latency(rates.half), latency(rates.most));
    let requests = format!(
        "requests/s {:.0}   p50 {half}   p99 {most}   refusals/s {:.0}   sessions {sessions}   unanswered {unanswered}",
        rates.requests, rates.refusals
    );
    vec![Line::from(requests), Line::from(load)]
}

fn news(scene: &Scene, area: Rect) -> Vec<Line<'_>> {
    let last = scene.last(area.height.saturating_sub(2).into());
    last.map(|(when, text)| Line::from(format!("{:>6.1} s  {text}", when.as_secs_f64()))).collect()
}
