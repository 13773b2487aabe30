//! Changes of records, told as they come.
//!
//! Owns: what a request for changes may say, and how many of them may go on at older versions at once. Never: makes the
//! events; their reader does.

use super::asked::not_loaded;
use super::daemon::{Daemon, SOON};
use super::news::{Named, event_stream};
use super::reader::{Reader, Resumed};
use super::records::type_of;
use crate::http::answer::{Answer, Refusal};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use grotto::consumer::{Interest, Position, Subscribe, Subscription};
use grotto::engine::format::json::decode_key;
use grotto::{Consumer, Error, ErrorKind, KeyValue, State};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

/// Updates that wait for a reader; each keeps a version in memory. One that is further behind gets several as one.
const CAPACITY: usize = 4;
/// Most types, keys and fields of a request.
const MOST_NAMES: usize = 1000;

/// Numbers of those who follow changes, each the lowest that is free: they are in the names of subscriptions, which are
/// labels of metrics.
#[derive(Debug, Default)]
pub(crate) struct Numbers(Arc<Mutex<BTreeSet<usize>>>);

/// A number that is taken.
pub(super) struct Number {
    all: Arc<Mutex<BTreeSet<usize>>>,
    number: usize,
}

impl Numbers {
    pub(super) fn take(&self) -> Number {
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
        let mut subscribe = Subscribe::named(name).capacity(CAPACITY);
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
    let subscribe = wanted.subscribe(name, &consumer.state())?;
    let position = position_of(&headers)?;
    let served = consumer.version();
    let subscribed = subscribed(&daemon, (consumer, served), subscribe, position);
    let (subscription, resumed) = subscribed.await?;
    let mut types = wanted.types;
    types.sort();
    let reader = Reader {
        subscription,
        types,
        stopped: daemon.stopped.clone(),
        daemon,
        current: None,
        resumed,
        _place: place,
        _number: number,
    };
    let events = futures::stream::unfold(reader, |mut reader| async move {
        let piece = reader.next().await?;
        Some((Ok::<_, Infallible>(piece), reader))
    });
    Ok(event_stream(events))
}

/// Where a reader goes on.
fn position_of(headers: &HeaderMap) -> Result<Option<Position>, Refusal> {
    let last = headers.get("last-event-id").filter(|last| !last.is_empty());
    let Some(last) = last.map(HeaderValue::to_str) else {
        return Ok(None);
    };
    let position = last.ok().and_then(|text| text.parse().ok());
    let expected =
        "last-event-id: expected the id of an event before, such as 42.00c0ffee00c0ffee@3f9c";
    position.map(Some).ok_or_else(|| Refusal::invalid(expected))
}

/// The subscription of a reader, and its place among those who go on at an older version, for which the state of that is
/// built. Of the consumer it is told which version it served a moment ago.
pub(super) async fn subscribed(
    daemon: &Daemon,
    (consumer, served): (&Consumer, u64),
    subscribe: Subscribe,
    position: Option<Position>,
) -> Result<(Subscription, Option<Resumed>), Refusal> {
    let Some(position) = position else {
        let subscription = consumer.subscribe(subscribe).await;
        return Ok((subscription.map_err(unsubscribed)?, None));
    };
    // There is nothing to be built of what is served, and before the first version.
    let is_older = position.version() != 0 && position.version() != served;
    let mut place = is_older.then(|| daemon.resume()).transpose()?;
    let subscription = consumer.subscribe(subscribe.after(position.clone())).await;
    let subscription = subscription.map_err(unsubscribed)?;
    // Another version came in between.
    if place.is_none() && position.version() != 0 && subscription.waiting() > 0 {
        place = Some(daemon.resume()?);
    }
    let resumed = place.map(|place| Resumed {
        position,
        _place: place,
    });
    Ok((subscription, resumed))
}

/// Why there are no changes from a position on.
fn unsubscribed(error: Error) -> Refusal {
    let message = error.message().to_owned();
    match error.kind() {
        ErrorKind::Missing => Refusal::new(StatusCode::GONE, "version_gone", message),
        ErrorKind::Invalid => Refusal::invalid(message),
        _ => error.into(),
    }
}

impl Daemon {
    /// A place among those who go on at an older version.
    fn resume(&self) -> Result<tokio::sync::OwnedSemaphorePermit, Refusal> {
        let place = Arc::clone(&self.resuming).try_acquire_owned();
        place.map_err(|_| {
            let message = "too many readers go on at versions before the one that is served: see \
                           consumer.limits.max_resuming";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message).after(SOON)
        })
    }
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
        let many = vec![("type", "A"); MOST_NAMES];
        assert!(parse(&many).is_ok());
        for wrong in [
            &[many.as_slice(), &[("type", "A")]].concat()[..],
            &[("key", "1")],
            &[("type", "A"), ("type", "B"), ("field", "c")],
            &[("from", "now")],
            &[("color", "red")],
        ] {
            assert_eq!(parse(wrong).unwrap_err().code, "invalid", "{wrong:?}");
        }
    }
}
