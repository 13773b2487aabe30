//! The one error of the binary: what is printed, and the exit code.
//!
//! Owns: exit codes, hints, and how errors of the libraries become one clear line. Never: decides
//! whether something is an error.

use grotto::ErrorKind;
use grotto::engine::format::schema::NoSuchType;
use serde_json::json;
use std::error::Error as StdError;
use std::io::Write as _;
use std::process::ExitCode;

/// Result of everything that a command does.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

/// What to do about it; each has an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Of(ErrorKind),
    NotFound,
    /// Whoever read our output has seen enough. Nothing went wrong.
    ReaderLeft,
    /// A rollout goes no further.
    Halted,
}

/// What each exit code stands for: code, name, and when it comes.
pub(crate) const EXIT_CODES: [(u8, &str, &str); 11] = [
    (0, "", "done"),
    (1, "internal", "a defect of grotto, please report it"),
    (
        2,
        "invalid",
        "the command, its input or its configuration is wrong",
    ),
    (3, "not found", "no such record, version or dataset"),
    (
        4,
        "unavailable",
        "the store or the daemon did not answer, try again",
    ),
    (5, "corrupt", "bytes are not those that were written"),
    (6, "missing", "a blob that the log names is gone"),
    (7, "fenced", "another writer was faster"),
    (8, "overloaded", "the store or the daemon asks for less"),
    (
        9,
        "busy",
        "another process has the state directory, the write-ahead log or the port, or changed the channel",
    ),
    (
        10,
        "halted",
        "a rollout goes no further: consumers are not well with the version, or it was interrupted",
    ),
];

impl Kind {
    /// Its code in [`EXIT_CODES`].
    fn code(self) -> u8 {
        match self {
            Self::ReaderLeft => 0,
            Self::Halted => 10,
            Self::Of(ErrorKind::Invalid | ErrorKind::NoSchema) => 2,
            Self::NotFound | Self::Of(ErrorKind::NoDataset) => 3,
            Self::Of(ErrorKind::Unavailable) => 4,
            Self::Of(ErrorKind::Corrupt) => 5,
            Self::Of(ErrorKind::Missing) => 6,
            Self::Of(ErrorKind::Fenced) => 7,
            Self::Of(ErrorKind::Overloaded) => 8,
            Self::Of(ErrorKind::Busy) => 9,
            // The binary gives the libraries no closure of its own that may fail: a bug like any other.
            Self::Of(_) => 1,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Of(kind) => kind.to_string(),
            Self::NotFound => "not found".to_owned(),
            Self::ReaderLeft => "reader left".to_owned(),
            Self::Halted => "halted".to_owned(),
        }
    }

    fn hint(self) -> Option<&'static str> {
        match self {
            Self::Of(ErrorKind::Internal) => Some("this is a defect of grotto; please report it"),
            Self::Of(ErrorKind::Unavailable) => Some("try again once the store answers"),
            Self::Of(ErrorKind::Corrupt | ErrorKind::Missing) => {
                Some("`grotto verify` lists everything that is damaged")
            }
            Self::Of(ErrorKind::Fenced) => {
                Some("another writer was faster; run the command again to publish on top of it")
            }
            Self::Of(ErrorKind::Overloaded) => {
                Some("the store throttles: try again later, and publish or poll less often")
            }
            _ => None,
        }
    }
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            kind: Kind::Of(kind),
            message,
            hint: None,
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::NotFound,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn halted(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Halted,
            message: message.into(),
            hint: None,
        }
    }

    /// The file system refused to do `action`, such as `read /a/b`.
    pub(crate) fn io(action: &str, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        match error.kind() {
            K::BrokenPipe => Self {
                kind: Kind::ReaderLeft,
                message: "the reader left".to_owned(),
                hint: None,
            },
            K::NotFound => Self::invalid(format!("cannot {action}: it does not exist")),
            K::ReadOnlyFilesystem => {
                Self::invalid(format!("cannot {action}: {}", plain(error))).hint(READ_ONLY_HINT)
            }
            _ => Self::invalid(format!("cannot {action}: {}", plain(error))),
        }
    }

    /// The same failure with advice.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure, with where it happened in front.
    #[must_use]
    pub(crate) fn within(mut self, place: impl std::fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Whether blobs are damaged or gone: what they would say is unknown.
    pub(crate) fn is_loss(&self) -> bool {
        use ErrorKind::{Corrupt, Missing};
        matches!(self.kind, Kind::Of(Corrupt | Missing))
    }

    /// Whether the store did not answer, or asked for less.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(self.kind, Kind::Of(kind) if kind.is_outage())
    }

    /// Whether another writer was first.
    pub(crate) fn is_fenced(&self) -> bool {
        matches!(self.kind, Kind::Of(ErrorKind::Fenced))
    }

    /// Whether another process holds what only one may have.
    pub(crate) fn is_busy(&self) -> bool {
        self.kind == Kind::Of(ErrorKind::Busy)
    }

    /// What happened, on one line.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// An error of a library: its message and, where the message does not say it, its first cause.
    pub(crate) fn of_library(kind: ErrorKind, message: &str, error: &dyn StdError) -> Self {
        let mut message = message.to_owned();
        if is_read_only(error) {
            if !message.contains("read-only") {
                message = format!("{message}: {READ_ONLY}");
            }
            return Self::new(kind, message).hint(READ_ONLY_HINT);
        }
        if let Some(cause) = first_cause(error).filter(|cause| !message.contains(cause)) {
            message = format!("{message}: {cause}");
        }
        Self::new(kind, message)
    }

    /// Prints the failure to the standard error stream and gives the exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        if self.kind != Kind::ReaderLeft {
            // Nobody is left to tell if even this stream is closed.
            let _ = writeln!(std::io::stderr().lock(), "{}", self.text(json));
        }
        ExitCode::from(self.kind.code())
    }

    fn text(&self, json: bool) -> String {
        let hint = self.hint.as_deref().or(self.kind.hint());
        let mut message = one_line(&self.message);
        // The word to search for, in logs and in the documentation.
        if self.kind == Kind::Of(ErrorKind::Fenced) {
            message.insert_str(0, "fenced: ");
        }
        if json {
            let error = json!({ "kind": self.kind.name(), "message": message, "hint": hint });
            return json!({ "error": error, "exit_code": self.kind.code() }).to_string();
        }
        match hint {
            Some(hint) => format!("error: {message}\nhint: {hint}"),
            None => format!("error: {message}"),
        }
    }
}

/// The innermost cause, where the system's own words are.
fn first_cause(error: &dyn StdError) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(match cause.downcast_ref::<std::io::Error>() {
        Some(io) => plain(io),
        None => cause.to_string(),
    })
}

const READ_ONLY: &str = "the file system is read-only";
const READ_ONLY_HINT: &str = "mount it for writing, or name a folder on another file system; after errors of a disk systems mount \
     read-only by themselves: look into their log first";

/// Whether a file system that is read-only is the cause.
fn is_read_only(error: &dyn StdError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ReadOnlyFilesystem) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A system error without its number.
fn plain(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem {
        return READ_ONLY.to_owned();
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

/// Messages may quote input; a terminal must not obey it, and a log must not see two lines.
pub(crate) fn one_line(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(visible).collect()
}

impl From<NoSuchType> for Failure {
    fn from(error: NoSuchType) -> Self {
        grotto::Error::from(error).into()
    }
}

impl From<grotto::Error> for Failure {
    fn from(error: grotto::Error) -> Self {
        Self::of_library(error.kind(), error.message(), &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_exit_code() {
        use ErrorKind as E;
        let of = [
            E::Internal,
            E::Invalid,
            E::Unavailable,
            E::Corrupt,
            E::Missing,
            E::Fenced,
            E::Overloaded,
            E::Busy,
        ];
        let mut codes: Vec<u8> = of.into_iter().map(|kind| Kind::Of(kind).code()).collect();
        codes.push(Kind::NotFound.code());
        codes.push(Kind::Halted.code());
        codes.sort_unstable();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn the_table_of_exit_codes_names_every_kind_by_its_code() {
        let numbers: Vec<u8> = EXIT_CODES.iter().map(|(code, ..)| *code).collect();
        assert_eq!(numbers, (0..=10).collect::<Vec<u8>>());
        // Kinds that share the code of another one.
        let shared = [ErrorKind::NoSchema, ErrorKind::NoDataset];
        // Those of closures, of which the binary has none that may fail.
        let never = [ErrorKind::UserError, ErrorKind::UserPanic];
        for kind in ErrorKind::ALL
            .iter()
            .filter(|kind| !shared.contains(kind) && !never.contains(kind))
        {
            let (_, name, _) = EXIT_CODES[usize::from(Kind::Of(*kind).code())];
            assert_eq!(name, kind.to_string());
        }
        let (_, name, _) = EXIT_CODES[usize::from(Kind::NotFound.code())];
        assert_eq!(name, Kind::NotFound.name());
        let (_, name, _) = EXIT_CODES[usize::from(Kind::Halted.code())];
        assert_eq!(name, Kind::Halted.name());
    }

    #[test]
    fn control_characters_of_the_input_do_not_reach_the_terminal() {
        let failure = Failure::invalid("found \"a\u{1b}[2Jb\nc\"");
        assert_eq!(failure.text(false), "error: found \"a [2Jb c\"");
    }

    #[test]
    fn a_read_only_file_system_is_told_once_with_a_hint_of_its_own() {
        let read_only = || std::io::Error::from(std::io::ErrorKind::ReadOnlyFilesystem);
        let named = "cannot create x: the file system at /srv is read-only";
        for (message, expected) in [
            (named, named),
            (
                "cannot open x",
                "cannot open x: the file system is read-only",
            ),
        ] {
            let error = grotto::Error::new(ErrorKind::Invalid, message);
            let failure = Failure::from(error.with_source(read_only()));
            assert_eq!(failure.message(), expected);
            assert!(
                failure.text(false).contains("hint: mount it"),
                "{failure:?}"
            );
        }
        let failure = Failure::io("write /srv/out", &read_only());
        let text = failure.text(false);
        assert!(text.starts_with("error: cannot write /srv/out: the file system is read-only\n"));
        assert!(text.contains("hint: mount it"), "{text}");
    }

    #[test]
    fn a_store_that_throttles_has_a_hint_of_its_own() {
        let failure = Failure::new(ErrorKind::Overloaded, "cannot create x");
        assert!(failure.text(false).contains("hint: the store throttles"));
    }

    #[test]
    fn the_first_cause_is_told_once() {
        let cause = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error = grotto::Error::new(ErrorKind::Invalid, "cannot open x").with_source(cause);
        assert_eq!(
            Failure::from(error).message(),
            "cannot open x: permission denied"
        );
    }
}
