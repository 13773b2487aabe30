//! Records of a type, page by page.
//!
//! Owns: where a page begins and ends. All pages of a scan are of one version, whose state is held between them for a
//! while; where it is held no more, the scan is told to begin again. Never: looks at more records for a request than
//! the limits say.

use super::asked::{Asked, of_version, state, unchanged};
use super::daemon::Daemon;
use super::records::{OfType, begin, type_of, unwritten};
use crate::http::answer::{Answer, Refusal};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use grotto::State;
use grotto::engine::state::FieldEquals;
use grotto::schema::TypeId;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Records of a page whose size nobody says.
const USUAL: usize = 100;
/// Most fields that a scan looks at: each record costs that many comparisons.
const MOST_FIELDS: usize = 16;

/// Names and values of a query, in their order.
type Pairs = Vec<(String, String)>;

/// Where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    version: u64,
    /// Two datasets of one name may have had the same version, and other fields of it may have been kept.
    checksum: u64,
    type_index: u32,
    ordinal: u32,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            version,
            checksum,
            type_index,
            ordinal,
        } = self;
        write!(f, "{version:x}.{checksum:x}.{type_index:x}.{ordinal:x}")
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.');
        let mut next = || u64::from_str_radix(parts.next().unwrap_or_default(), 16).map_err(|_| ());
        let narrow = |number| u32::try_from(number).map_err(|_| ());
        let cursor = Self {
            version: next()?,
            checksum: next()?,
            type_index: narrow(next()?)?,
            ordinal: narrow(next()?)?,
        };
        match parts.next() {
            None => Ok(cursor),
            Some(_) => Err(()),
        }
    }
}

/// What a request for a page says.
#[derive(Debug, Default, PartialEq)]
struct Page {
    asked: Asked,
    after: Option<Cursor>,
    limit: Option<u64>,
    /// Fields and the values that they are to have.
    fields: Pairs,
}

impl Page {
    /// A field whose name is that of a parameter is written with a dot before it.
    fn parse(pairs: Pairs) -> Result<Self, Refusal> {
        let mut page = Self::default();
        for (name, value) in pairs {
            let number = || {
                let number = value.parse::<u64>().map_err(|_| {
                    Refusal::invalid(format!("{name}: expected a number, found {value:?}"))
                })?;
                Ok::<_, Refusal>(Some(number))
            };
            match name.as_str() {
                "version" => page.asked.version = number()?,
                "limit" => page.limit = number()?,
                "wait" => page.asked.wait = Some(value),
                "after" => {
                    let cursor = value.parse().map_err(|()| {
                        Refusal::invalid(
                            "after: expected what an answer before told, found something else",
                        )
                    })?;
                    page.after = Some(cursor);
                }
                _ => {
                    if page.fields.len() == MOST_FIELDS {
                        return Err(Refusal::invalid(format!(
                            "expected conditions on at most {MOST_FIELDS} fields, found more"
                        )));
                    }
                    let field = name.strip_prefix('.').unwrap_or(&name).to_owned();
                    page.fields.push((field, value));
                }
            }
        }
        if let Some(after) = page.after {
            let of_it = page.asked.version.get_or_insert(after.version);
            if *of_it != after.version {
                let message = "version: expected the one that `after` is of, found another one";
                return Err(Refusal::invalid(message));
            }
        }
        Ok(page)
    }
}

/// How much is looked at and told.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    records: usize,
    looked_at: u64,
    bytes: usize,
}

/// `GET /v1/datasets/{dataset}/types/{type}/records`
pub(crate) async fn scan(
    Shared(daemon): Shared<Arc<Daemon>>,
    path: OfType,
    query: Result<Query<Pairs>, QueryRejection>,
    headers: HeaderMap,
) -> Answer {
    let axum::extract::Path((dataset, type_name)) =
        path.map_err(|e| Refusal::invalid(e.body_text()))?;
    let Query(pairs) = query.map_err(|e| Refusal::invalid(e.body_text()))?;
    let mut page = Page::parse(pairs)?;
    page.asked = page.asked.or_of(&headers)?;
    let state = state(&daemon, &dataset, &page.asked).await?;
    if let Some(answer) = unchanged(&headers, &state) {
        return answer;
    }
    let told = tell(&daemon, &state, &type_name, page).await;
    let (text, next) = told.map_err(|refusal| of_version(refusal, &state))?;
    if next {
        let most = usize::try_from(daemon.limits().held_versions).unwrap_or(usize::MAX);
        let held = &daemon.dataset(&dataset)?.held;
        held.hold(&state, daemon.env.clock.monotonic(), most);
    }
    daemon.answer(&state, text)
}

/// The text of a page, and whether there is another one.
async fn tell(
    daemon: &Daemon,
    state: &Arc<State>,
    type_name: &str,
    page: Page,
) -> Result<(String, bool), Refusal> {
    let type_id = type_of(state, type_name)?;
    let from = begin_of(&page, state, type_id)?;
    let limits = daemon.limits();
    let limit = page.limit.unwrap_or(limits.max_page.min(USUAL as u64));
    if !(1..=limits.max_page).contains(&limit) {
        let most = limits.max_page;
        return Err(Refusal::invalid(format!(
            "limit: expected 1 to {most}, found {limit}"
        )));
    }
    let condition = |(field, value): &(String, String)| {
        FieldEquals::parse(state.schema(), type_id, field, value)
            .map_err(|e| Refusal::invalid(e.message()))
    };
    let conditions: Vec<FieldEquals> = page
        .fields
        .iter()
        .map(condition)
        .collect::<Result<_, _>>()?;
    let bounds = Bounds {
        records: usize::try_from(limit).unwrap_or(usize::MAX),
        looked_at: limits.max_scanned,
        bytes: daemon.max_answer(),
    };
    let of = Arc::clone(state);
    let work = move || write(&of, type_id, from, &conditions, bounds);
    daemon.turns.work(work).await?
}

/// The ordinal at which a page begins.
fn begin_of(page: &Page, state: &State, type_id: TypeId) -> Result<u32, Refusal> {
    match page.after {
        None => Ok(0),
        Some(after) if after.checksum != state.content_checksum() => {
            let message = "the dataset was made anew since the page before, or other fields of it are kept: begin again";
            Err(Refusal::new(StatusCode::GONE, "version_gone", message))
        }
        Some(after) if after.type_index as usize != type_id.index() => Err(Refusal::invalid(
            "after: expected what was told of this type, found that of another one",
        )),
        Some(after) => Ok(after.ordinal),
    }
}

fn write(
    state: &State,
    type_id: TypeId,
    from: u32,
    conditions: &[FieldEquals],
    bounds: Bounds,
) -> Result<(String, bool), Refusal> {
    let (mut text, mut told, mut looked_at, mut next) = (String::new(), 0, 0, None);
    begin(&mut text, state);
    for record in state.scan_from(type_id, from) {
        if told == bounds.records || looked_at == bounds.looked_at {
            next = Some(record.ordinal());
            break;
        }
        looked_at += 1;
        if !conditions.iter().all(|one| one.matches(&record)) {
            continue;
        }
        let end = text.len();
        if told > 0 {
            text.push(',');
        }
        match record.to_json(&mut text, bounds.bytes) {
            Ok(()) => told += 1,
            // The page is full; what is too long for a page of its own is told so on that.
            Err(_) if told > 0 => {
                text.truncate(end);
                next = Some(record.ordinal());
                break;
            }
            Err(error) => return Err(unwritten(error, bounds.bytes)),
        }
    }
    text.push(']');
    if let Some(ordinal) = next {
        let cursor = Cursor {
            version: state.version(),
            checksum: state.content_checksum(),
            type_index: u32::try_from(type_id.index()).unwrap_or(u32::MAX),
            ordinal,
        };
        text.push_str(&format!(",\"after\":\"{cursor}\""));
    }
    text.push_str("}\n");
    Ok((text, next.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use grotto::Schema;
    use grotto::engine::state::HashSeed;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        let cursor = Cursor {
            version: 300,
            checksum: u64::MAX,
            type_index: 2,
            ordinal: u32::MAX,
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in [
            "",
            "1",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.x",
            "1.2.3.100000000",
            "-1.2.3.4",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_cursor_is_of_what_it_was_told_of() {
        let schema = Schema::parse("A { long a; } B { long b; }").unwrap();
        let empty = State::empty(HashSeed::new([1, 2]));
        let state = empty.evolved(&Arc::new(schema)).unwrap().at_version(7);
        let begin = |after: &str| {
            let page = Page {
                after: Some(after.parse().unwrap()),
                ..Page::default()
            };
            begin_of(&page, &state, TypeId(1)).map_err(|refusal| refusal.code)
        };
        assert_eq!(begin("7.0.1.5"), Ok(5));
        assert_eq!(begin("7.0.0.5"), Err("invalid"));
        assert_eq!(begin("7.1.1.5"), Err("version_gone"));
        assert_eq!(begin_of(&Page::default(), &state, TypeId(1)).ok(), Some(0));
    }

    #[test]
    fn fields_are_told_from_parameters() {
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let parse = |pairs: &[(&str, &str)]| Page::parse(pairs.iter().copied().map(pair).collect());
        let page = parse(&[("limit", "7"), ("name", "a"), (".limit", "9")]).unwrap();
        assert_eq!(page.limit, Some(7));
        assert_eq!(page.fields, [("name", "a"), ("limit", "9")].map(pair));
        let page = parse(&[("after", "7.1.0.5")]).unwrap();
        assert_eq!(page.asked.version, Some(7));
        for wrong in [
            &[("limit", "many")][..],
            &[("version", "-1")],
            &[("after", "x")],
            &[("after", "7.1.0.5"), ("version", "8")],
        ] {
            assert_eq!(parse(wrong).unwrap_err().code, "invalid", "{wrong:?}");
        }
    }
}
