//! Reading the file: TOML into options as given, with the line of each.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistakes::{Findings, Place, Problem, Sited};
use super::options::{self, OptionSpec};
use super::suggest::nearest;
use super::value::{Entry, Value};

/// One option as given.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) spec: &'static OptionSpec,
    pub(crate) value: Sited<Value>,
}

/// Reads a file; what cannot be read at all is one mistake.
pub(crate) fn read(path: &Path, findings: &mut Findings) -> Vec<Given> {
    match std::fs::read(path) {
        Ok(bytes) => parse(&bytes, findings),
        Err(error) => {
            findings.add(Place::Default, "", Problem::Unreadable(error.to_string()));
            Vec::new()
        }
    }
}

/// Parses a file's bytes. The parser recovers from errors of syntax, so that mistakes further down are found too.
pub(crate) fn parse(bytes: &[u8], findings: &mut Findings) -> Vec<Given> {
    let lines = Lines(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            lines.syntax(error.valid_up_to(), "not UTF-8", findings);
            return Vec::new();
        }
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or_default();
        match error.message() {
            "duplicate key" => lines.duplicate(span, findings),
            message => lines.syntax(span.start, message, findings),
        }
    }
    let table = entries(document.get_ref(), &lines);
    let mut reader = Reader { given: Vec::new(), findings };
    reader.walk(&table, "");
    reader.given
}

/// The file's bytes, to count lines in.
struct Lines<'a>(&'a [u8]);

impl Lines<'_> {
    fn line(&self, offset: usize) -> usize {
        1 + self.0.iter().take(offset).filter(|byte| **byte == b'\n').count()
    }

    fn place(&self, offset: usize) -> Place {
        Place::Line(self.line(offset))
    }

    fn column(&self, offset: usize) -> usize {
        1 + self.0.iter().take(offset).rev().take_while(|byte| **byte != b'\n').count()
    }

    fn syntax(&self, offset: usize, message: &str, findings: &mut Findings) {
        let problem = Problem::Syntax { column: self.column(offset), message: message.to_owned() };
        findings.add(self.place(offset), "", problem);
    }

    fn duplicate(&self, key: Range<usize>, findings: &mut Findings) {
        let name = String::from_utf8_lossy(self.0.get(key.clone()).unwrap_or_default()).into_owned();
        let problem = Problem::Twice { what: "option", text: name.clone(), first: Place::Default };
        findings.add(self.place(key.start), name, problem);
    }
}

struct Reader<'a> {
    given: Vec<Given>,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    /// Takes the options of one table, whose own name with its dot is `prefix`.
    fn walk(&mut self, table: &[Entry], prefix: &str) {
        for Entry { key, value } in table {
            let name = format!("{prefix}{}", key.value);
            match (options::find(&name), &value.value) {
                (Some(spec), _) => self.given.push(Given { spec, value: value.clone() }),
                (None, Value::Table(inner)) if options::is_group(&name) => self.walk(inner, &format!("{name}.")),
                (None, _) => self.refuse(name, key.place, &value.value),
            }
        }
    }

    fn refuse(&mut self, name: String, place: Place, value: &Value) {
        let problem = match options::is_group(&name) {
            true => value.wrong_type("a table", "its options under a [table] header"),
            false => Problem::UnknownOption {
                nearest: nearest(&name, options::names().chain(options::groups().filter(|_| !name.contains('.')))),
            },
        };
        self.findings.add(place, name, problem);
    }
}

fn entries(table: &DeTable<'_>, lines: &Lines<'_>) -> Vec<Entry> {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let place = lines.place(key.span().start);
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        // A table under a header has the header's line, which is its key's; a value stands on its own line.
        Entry { key: Sited { value: key.to_string(), place }, value: sited(value, lines) }
    };
    table.iter().map(entry).collect()
}

fn sited(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Sited<Value> {
    Sited { place: lines.place(value.span().start), value: convert(value.get_ref(), lines) }
}

fn convert(value: &DeValue<'_>, lines: &Lines<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            i128::from_str_radix(number.as_str(), number.radix()).map_or(Value::Other("a huge number"), Value::Integer)
        }
        DeValue::Float(_) => Value::Other("a fraction"),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(list) => Value::List(list.iter().map(|item| sited(item, lines)).collect()),
        DeValue::Table(table) => Value::Table(entries(table, lines)),
    }
}
