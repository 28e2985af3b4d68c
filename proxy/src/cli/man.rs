//! `pdw-proxy man`: pages of the manual, made of the same descriptions as the help.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_mangen::Man;

use super::{Cli, ManArgs, print};

/// Headings of the help that are sections of a page, too.
const HEADINGS: [(&str, &str); 2] = [("Examples:", "EXAMPLES"), ("Keys:", "KEYS ON THE SCREEN")];

/// Prints a page of the manual: of the program, or of one of its commands.
///
/// # Errors
/// When standard output cannot be written.
pub fn man(args: &ManArgs) -> io::Result<()> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let chosen = args.command.as_ref().and_then(|name| command.find_subcommand(name)).unwrap_or(&command);
    let title = args.command.as_ref().map_or_else(|| "pdw-proxy".to_owned(), |name| format!("pdw-proxy-{name}"));
    let source = concat!("pdw-proxy ", env!("CARGO_PKG_VERSION"));
    let mut page = Vec::new();
    write_page(chosen, Man::new(chosen.clone()).title(title).source(source), &mut page)?;
    print::all(&page)
}

fn write_page(command: &clap::Command, man: Man, page: &mut Vec<u8>) -> io::Result<()> {
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    notes.split("\n\n").filter(|part| !part.is_empty()).try_for_each(|part| write_part(part, page))
}

/// Writes a part of what the help says at its end, line by line: examples must not be filled and justified.
fn write_part(part: &str, page: &mut Vec<u8>) -> io::Result<()> {
    let heading = HEADINGS.iter().find_map(|(word, heading)| Some((part.strip_prefix(word)?, heading)));
    let (text, heading) = heading.map_or((part, &"NOTES"), |(text, heading)| (text.trim_start_matches('\n'), heading));
    writeln!(page, ".SH \"{heading}\"\n.nf")?;
    text.lines().try_for_each(|line| writeln!(page, "{}", escaped(line)))?;
    writeln!(page, ".fi")
}

/// A line as roff(7) takes it literally.
fn escaped(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}
