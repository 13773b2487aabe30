//! What commands that ask a daemon share.
//!
//! Owns: connecting with a token, and the advice about what a daemon answers. Never: knows what is asked.

use crate::failure::{Failure, Outcome};
use grotto::{Error, ErrorKind};
use grotto_service::client::{Client, is_silence};
use grotto_service::config::read_token_text;
use std::path::Path;

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
