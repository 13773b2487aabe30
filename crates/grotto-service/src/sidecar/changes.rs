//! Changes of records, told as they come.
//!
//! Owns: what a request for changes may say, and the events that an update becomes. Never: has a slow reader delay a
//! refresh, or others who read: what waits for it is bounded, and becomes one update where that is full.

use super::asked::not_loaded;
use super::daemon::Daemon;
use super::news::{Named, SIGN_OF_LIFE, event_stream};
use super::records::type_of;
use crate::http::answer::{Answer, Refusal};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;
use grotto::consumer::{Change, Interest, Subscribe, Subscription, Update};
use grotto::engine::format::json::decode_key;
use grotto::{ErrorKind, KeyValue, State};
use parking_lot::Mutex;
use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Text of changes that is made at once: more of an update is made once this is sent.
const PIECE: usize = 256 << 10;
/// Most changes that are looked at for it.
const LOOKED_AT: usize = 10_000;
/// Most types, keys and fields of a request.
const MOST_NAMES: usize = 1000;

/// Numbers of those who follow changes, each the lowest that is free: they are in the names of subscriptions, which are
/// labels of metrics.
#[derive(Debug, Default)]
pub(crate) struct Numbers(Arc<Mutex<BTreeSet<usize>>>);

/// A number that is taken.
struct Number {
    all: Arc<Mutex<BTreeSet<usize>>>,
    number: usize,
}

impl Numbers {
    fn take(&self) -> Number {
        let mut taken = self.0.lock();
        let free = taken.iter().zip(0..).find(|(one, at)| *one != at);
        let number = free.map_or(taken.len(), |(_, at)| at);
        taken.insert(number);
        Number {
            all: Arc::clone(&self.0),
            number,
        }
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.all.lock().remove(&self.number);
    }
}

/// What a request says.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    types: Vec<String>,
    keys: Vec<String>,
    fields: Vec<String>,
    from_beginning: bool,
}

impl Wanted {
    fn parse(pairs: Vec<(String, String)>) -> Result<Self, Refusal> {
        let mut wanted = Self::default();
        if pairs.len() > MOST_NAMES {
            let message = format!(
                "expected at most {MOST_NAMES} parameters, found {}",
                pairs.len()
            );
            return Err(Refusal::invalid(message));
        }
        for (name, value) in pairs {
            match (name.as_str(), value.as_str()) {
                ("type", _) => wanted.types.push(value),
                ("key", _) => wanted.keys.push(value),
                ("field", _) => wanted.fields.push(value),
                ("from", "beginning") => wanted.from_beginning = true,
                _ => {
                    return Err(Refusal::invalid(format!(
                        "expected type, key, field or from=beginning, found {name}={value:.80?}"
                    )));
                }
            }
        }
        let narrowed = !wanted.keys.is_empty() || !wanted.fields.is_empty();
        if narrowed && wanted.types.len() != 1 {
            let found = wanted.types.len();
            let message =
                format!("keys and fields are of one type: expected one `type`, found {found}");
            return Err(Refusal::invalid(message));
        }
        Ok(wanted)
    }

    /// The subscription, its types and keys read by the schema of what is served.
    fn subscribe(&self, name: String, state: &State) -> Result<Subscribe, Refusal> {
        let mut subscribe = Subscribe::named(name);
        for type_name in &self.types {
            let type_id = type_of(state, type_name)?;
            let mut interest = Interest::of(type_name);
            for key in &self.keys {
                let parts = decode_key(state.schema(), type_id, key);
                let parts = parts.map_err(|e| Refusal::invalid(e.to_string()))?;
                let parts: Vec<KeyValue<'_>> = parts.iter().map(KeyValue::from).collect();
                interest = interest.key(parts.as_slice());
            }
            interest = self
                .fields
                .iter()
                .fold(interest, |one, field| one.field(field));
            subscribe = subscribe.to(interest);
        }
        Ok(match self.from_beginning {
            true => subscribe.from_beginning(),
            false => subscribe,
        })
    }
}

/// `GET /v1/datasets/{dataset}/changes`: server-sent events, one for each record that changed, and one for the version
/// that they lead to, by whose id a reader goes on there.
pub(crate) async fn changes(
    Shared(daemon): Shared<Arc<Daemon>>,
    path: Named,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    headers: HeaderMap,
) -> Answer {
    let Path(dataset) = path.map_err(|e| Refusal::invalid(e.body_text()))?;
    let Query(pairs) = query.map_err(|e| Refusal::invalid(e.body_text()))?;
    let wanted = Wanted::parse(pairs)?;
    let followed = daemon.dataset(&dataset)?;
    let consumer = followed.consumer();
    let consumer = consumer.ok_or_else(|| not_loaded(followed))?;
    let (place, number) = (daemon.wait()?, daemon.numbers.take());
    let name = format!("http-{}", number.number);
    let mut subscribe = wanted.subscribe(name, &consumer.state())?;
    if let Some(last) = headers.get("last-event-id").filter(|last| !last.is_empty()) {
        let position = HeaderValue::to_str(last)
            .ok()
            .and_then(|text| text.parse().ok());
        let expected =
            "last-event-id: expected the id of an event before, such as 42.00c0ffee00c0ffee@3f9c";
        subscribe = subscribe.after(position.ok_or_else(|| Refusal::invalid(expected))?);
    }
    let subscription = consumer.subscribe(subscribe).await.map_err(|error| {
        let message = error.message().to_owned();
        match error.kind() {
            ErrorKind::Missing => Refusal::new(StatusCode::GONE, "version_gone", message),
            ErrorKind::Invalid => Refusal::invalid(message),
            _ => error.into(),
        }
    })?;
    let mut types = wanted.types;
    types.sort();
    let reader = Reader {
        subscription,
        types,
        stopped: daemon.stopped.clone(),
        daemon,
        current: None,
        _place: place,
        _number: number,
    };
    let events = futures::stream::unfold(reader, |mut reader| async move {
        let piece = reader.next().await?;
        Some((Ok::<_, Infallible>(piece), reader))
    });
    Ok(event_stream(events))
}

/// Who follows changes.
struct Reader {
    daemon: Arc<Daemon>,
    subscription: Subscription,
    /// The types that were asked for; all if there are none.
    types: Vec<String>,
    stopped: watch::Receiver<bool>,
    /// The update that is being told.
    current: Option<Telling>,
    _place: OwnedSemaphorePermit,
    _number: Number,
}

/// How far an update is told.
#[derive(Clone)]
struct Telling {
    update: Update,
    /// Types that are left, and changes of the first of them that were told.
    types: VecDeque<String>,
    told: usize,
}

impl Reader {
    /// The next text to send; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let telling = match self.current.take() {
            Some(telling) => telling,
            None => {
                let update = tokio::select! {
                    update = self.subscription.next() => update,
                    _ = self.stopped.wait_for(|stopped| *stopped) => return None,
                    () = self.daemon.env.sleep(SIGN_OF_LIFE) => {
                        return Some(Bytes::from_static(b":\n\n"));
                    }
                };
                self.begin(update)?
            }
        };
        let limit = self.daemon.max_answer();
        let told = self.daemon.work(move || telling.piece(limit)).await;
        match told {
            Ok(Ok((text, rest))) => {
                self.current = rest;
                Some(text.into())
            }
            Ok(Err(why)) => {
                tracing::warn!(reason = why, "changes are not told any more");
                None
            }
            Err(error) => {
                tracing::error!(%error, "changes are not told any more");
                None
            }
        }
    }

    fn begin(&self, update: grotto::Result<Option<Update>>) -> Option<Telling> {
        let update = match update {
            Ok(update) => update?,
            Err(error) => {
                tracing::error!(%error, "changes are not told any more");
                return None;
            }
        };
        let types = match self.types.is_empty() {
            true => update.types().map(str::to_owned).collect(),
            false => self.types.iter().cloned().collect(),
        };
        Some(Telling {
            update,
            types,
            told: 0,
        })
    }
}

impl Telling {
    /// The next piece of text, and what is left after it.
    fn piece(mut self, limit: usize) -> Result<(String, Option<Self>), String> {
        let (mut text, mut looked_at) = (String::new(), 0);
        while let Some(type_name) = self.types.front().cloned() {
            let changes = self
                .update
                .changes_of(&type_name)
                .map_err(|e| e.to_string())?;
            let mut is_done = true;
            for change in changes.skip(self.told) {
                if text.len() >= PIECE || looked_at == LOOKED_AT {
                    is_done = false;
                    break;
                }
                looked_at += 1;
                write_change(&mut text, &type_name, &change, limit)?;
            }
            if !is_done {
                self.told += looked_at;
                return Ok((text, Some(self)));
            }
            looked_at = 0;
            self.told = 0;
            self.types.pop_front();
        }
        let update = &self.update;
        let (from, to, replaced) = (update.from(), update.to(), update.is_replaced());
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "id: {}\nevent: version\ndata: {{\"from\":{from},\"version\":{to},\"replaced\":{replaced}}}\n\n",
            update.position()
        );
        Ok((text, None))
    }
}

/// One event. A record is JSON on one line, so that it needs no other form here.
fn write_change(
    text: &mut String,
    type_name: &str,
    change: &Change<grotto::engine::state::Record<'_>>,
    limit: usize,
) -> Result<(), String> {
    let word = match (change.before(), change.after()) {
        (None, _) => "added",
        (Some(_), None) => "removed",
        (Some(_), Some(_)) => "modified",
    };
    let _ = write!(text, "event: {word}\ndata: {{\"type\":\"{type_name}\"");
    for (name, record) in [("before", change.before()), ("after", change.after())] {
        if let Some(record) = record {
            let _ = write!(text, ",\"{name}\":");
            let most = text.len().saturating_add(limit);
            record.to_json(text, most).map_err(|e| e.to_string())?;
        }
    }
    text.push_str("}\n\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_free_again_are_taken_again() {
        let numbers = Numbers::default();
        let (zero, one, two) = (numbers.take(), numbers.take(), numbers.take());
        assert_eq!((zero.number, one.number, two.number), (0, 1, 2));
        drop(one);
        assert_eq!(numbers.take().number, 1);
        drop(zero);
        let again = numbers.take();
        assert_eq!((again.number, numbers.take().number), (0, 1));
    }

    #[test]
    fn keys_and_fields_are_of_one_type() {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let parse = |pairs: &[(&str, &str)]| Wanted::parse(pairs.iter().map(pair).collect());
        let wanted = parse(&[
            ("type", "A"),
            ("key", "1"),
            ("field", "b"),
            ("from", "beginning"),
        ])
        .unwrap();
        assert_eq!((wanted.types.len(), wanted.from_beginning), (1, true));
        assert!(parse(&[("type", "A"), ("type", "B")]).is_ok());
        for wrong in [
            &[("key", "1")][..],
            &[("type", "A"), ("type", "B"), ("field", "c")],
            &[("from", "now")],
            &[("color", "red")],
        ] {
            assert_eq!(parse(wrong).unwrap_err().code, "invalid", "{wrong:?}");
        }
    }
}
