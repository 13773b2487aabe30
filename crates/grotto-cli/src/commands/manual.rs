//! `grotto completions` and `grotto man`: what shells and `man` want to know.
//!
//! Owns: making both from the definitions of the commands. Never: has a word of its own about one.

use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::output::Out;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use std::path::{Path, PathBuf};

/// Prints completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto completions bash > ~/.local/share/bash-completion/completions/grotto
  grotto completions zsh > ~/.zfunc/_grotto
  grotto completions fish > ~/.config/fish/completions/grotto.fish")]
pub(crate) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

/// Writes the manual pages, one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  grotto man --out ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Folder for the pages; made if it does not exist
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

pub(crate) fn completions(args: &CompletionArgs, out: &mut Out) -> Outcome<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "grotto", &mut script);
    let script = String::from_utf8(script)
        .map_err(|e| Failure::internal(format!("completions are no text: {e}")))?;
    out.line(script.trim_end())
}

pub(crate) fn pages(args: &ManArgs, out: &mut Out) -> Outcome<()> {
    let folder = &args.out;
    std::fs::create_dir_all(folder)
        .map_err(|e| Failure::io(&format!("create folder {}", folder.display()), &e))?;
    let mut root = Cli::command();
    root.build();
    let written = write(&root, folder, out)?;
    match out.is_json() {
        true => Ok(()),
        false => out.line(format_args!("{written} pages in {}", folder.display())),
    }
}

/// The page of a command and those of its subcommands.
fn write(command: &Command, folder: &Path, out: &mut Out) -> Outcome<usize> {
    let name = command.get_display_name().unwrap_or("grotto").to_owned();
    let path = folder.join(format!("{name}.1"));
    let action = format!("write {}", path.display());
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .and_then(|()| std::fs::write(&path, page))
        .map_err(|e| Failure::io(&action, &e))?;
    if out.is_json() {
        out.json(&serde_json::json!({ "page": path.display().to_string() }))?;
    }
    let mut written = 1;
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        written += write(sub, folder, out)?;
    }
    Ok(written)
}
