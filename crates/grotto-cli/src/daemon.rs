//! What commands that ask a daemon share.
//!
//! Owns: connecting with a token, and the advice about what a daemon answers. Never: knows what is asked.

use crate::failure::{Failure, Outcome};
use grotto::{Error, ErrorKind};
use grotto_service::client::{Client, is_silence};
use grotto_service::config::read_token_text;
use std::path::{Path, PathBuf};

/// Which daemon, and which dataset of it.
#[derive(Debug, clap::Args)]
pub(crate) struct DaemonArgs {
    /// The daemon
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    producer: String,
    /// The dataset
    #[arg(long, value_name = "NAME", env = "GROTTO_DATASET", hide_env = true)]
    dataset: Option<String>,
    /// File with the token that the daemon asks for
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl DaemonArgs {
    pub(crate) fn client(&self) -> Outcome<Client> {
        client(&self.producer, self.token_file.as_deref())
    }

    /// A path below that of the dataset.
    pub(crate) fn path(&self, below: &str) -> Outcome<String> {
        let name = self
            .dataset
            .as_deref()
            .ok_or_else(|| Failure::invalid("no dataset given: expected --dataset NAME"))?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !name.bytes().all(plain) {
            return Err(Failure::invalid(format!(
                "expected a name of letters, digits, '-', '_' and '.', found {name:?}"
            )));
        }
        Ok(format!("/v1/datasets/{name}/{below}"))
    }
}

/// A client of the daemon at a URL.
pub(crate) fn client(url: &str, token_file: Option<&Path>) -> Outcome<Client> {
    let token = token_file.map(read_token_text).transpose()?;
    Ok(Client::new(url, token)?)
}

/// A refusal, or that nobody answers: what commands advise that use a store themselves is of no use here.
pub(crate) fn failed(error: Error) -> Failure {
    let hint = match error.kind() {
        ErrorKind::Unavailable if is_silence(&error) => {
            "`grotto producer --config FILE` starts a daemon and logs its address, which --producer names here"
        }
        ErrorKind::Unavailable | ErrorKind::Busy => "`grotto top` shows what the daemon waits for",
        ErrorKind::Overloaded => "the daemon asks for less: try again later",
        ErrorKind::Fenced => {
            "`grotto log` shows who took over; to take over again, start the daemon again"
        }
        _ => return error.into(),
    };
    Failure::from(error).hint(hint)
}
