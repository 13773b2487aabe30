//! A second reader of a write-ahead log, from the specification alone.
//!
//! Owns: what is in whole segments and before a torn tail. Never: uses the code that it is compared with, but for
//! the checksum; says why something is refused.

use serde_json::{Map, Value, json};

/// A log of segments, oldest first, as its description says it.
pub(super) fn read(segments: &[(u64, Vec<u8>)]) -> Value {
    let (mut entries, mut keys) = (Map::new(), Vec::new());
    let (mut id, mut schema) = (String::new(), String::new());
    for (at, (first, bytes)) in segments.iter().enumerate() {
        let until = segments.get(at + 1).map(|(first, _)| *first);
        let mut segment = Bytes(bytes);
        assert_eq!(segment.take(8), b"GROTTO\x1aW");
        assert_eq!((segment.u32(), segment.u32()), (1, 0));
        id = String::from_utf8(segment.take(8).to_vec()).unwrap();
        let marker = segment.take(8);
        assert_eq!(segment.u64(), *first);
        let beginning = segment.u64() as usize;
        let length = segment.u32() as usize;
        schema = String::from_utf8(segment.take(length).to_vec()).unwrap();
        let header = bytes.len() - segment.0.len();
        assert_eq!(segment.u32(), crc32fast::hash(&bytes[..header]));
        let mut next = *first;
        while until.is_none_or(|until| next < until) {
            let Some(group) = group(segment.0, marker, next) else {
                assert!(until.is_none() && bytes.len() - segment.0.len() >= beginning);
                break;
            };
            segment.take(group.length);
            for payload in group.payloads {
                let mut payload = Bytes(payload);
                if group.kind == 1 {
                    keys.clear();
                    while !payload.0.is_empty() {
                        keys.push((payload.text(), payload.unsigned()));
                    }
                    continue;
                }
                let entry = entry(&mut payload);
                if let Some(key) = entry["key"].as_str() {
                    keys.push((key.to_owned(), next));
                }
                entries.insert(next.to_string(), entry);
                next += 1;
            }
        }
    }
    let keys = &keys[keys.len() - 2..];
    let keys = keys
        .iter()
        .map(|(key, at)| (key.clone(), at.to_string().into()));
    json!({
        "id": id,
        "schema": schema,
        "remembered_keys": keys.collect::<Map<String, Value>>(),
        "entries": entries,
    })
}

struct Group<'b> {
    kind: u32,
    payloads: Vec<&'b [u8]>,
    length: usize,
}

/// The group that bytes begin with, if it is whole.
fn group<'b>(bytes: &'b [u8], marker: &[u8], first: u64) -> Option<Group<'b>> {
    let mut header = Bytes(bytes.get(..32)?);
    assert_eq!(header.take(8), marker);
    let (kind, frames, number, length) = (header.u32(), header.u32(), header.u64(), header.u32());
    assert_eq!(header.u32(), crc32fast::hash(&bytes[..28]));
    assert_eq!(number, first);
    let mut rest = Bytes(bytes.get(32..32 + length as usize)?);
    let mut payloads = Vec::new();
    for _ in 0..frames {
        let head = rest.take(8);
        let payload = rest.take(u32::from_le_bytes(head[..4].try_into().unwrap()) as usize);
        let summed = [&head[..4], payload].concat();
        assert_eq!(head[4..], crc32fast::hash(&summed).to_le_bytes());
        payloads.push(payload);
    }
    assert!(rest.0.is_empty());
    Some(Group {
        kind,
        payloads,
        length: 32 + length as usize,
    })
}

pub(in crate::wal) fn entry(bytes: &mut Bytes<'_>) -> Value {
    let key = (bytes.take(1) == [1]).then(|| bytes.text());
    let atomic = bytes.take(1) == [1];
    let source = bytes.text();
    let mut positions = Map::new();
    for _ in 0..bytes.unsigned() {
        positions.insert(bytes.text(), bytes.unsigned().to_string().into());
    }
    let time = bytes.unsigned().to_string();
    let changes: Vec<Value> = (0..bytes.unsigned()).map(|_| change(bytes)).collect();
    assert!(bytes.0.is_empty());
    json!({
        "key": key, "atomic": atomic, "source": source, "positions": positions, "time_ms": time,
        "changes": changes,
    })
}

fn change(bytes: &mut Bytes<'_>) -> Value {
    let is_delete = bytes.unsigned() == 1;
    let (ty, at) = (bytes.unsigned(), bytes.unsigned().to_string());
    if is_delete {
        let key: Vec<Value> = (0..bytes.unsigned()).map(|_| part(bytes)).collect();
        return json!({"op": "delete", "type": ty, "position": at, "key": key});
    }
    let length = bytes.unsigned() as usize;
    json!({"op": "upsert", "type": ty, "position": at, "flat": super::hex(bytes.take(length))})
}

fn part(bytes: &mut Bytes<'_>) -> Value {
    match bytes.unsigned() {
        0 => json!({"int": bytes.signed().to_string()}),
        1 => json!({"long": bytes.signed().to_string()}),
        2 => json!({"float": format!("{:08x}", bytes.u32())}),
        3 => json!({"double": format!("{:016x}", bytes.u64())}),
        4 => json!({"boolean": bytes.take(1) == [1]}),
        5 => json!({"string": bytes.text()}),
        6 => {
            let length = bytes.unsigned() as usize;
            json!({"bytes": super::hex(bytes.take(length))})
        }
        other => panic!("part of kind {other}"),
    }
}

pub(in crate::wal) struct Bytes<'b>(pub(in crate::wal) &'b [u8]);

impl<'b> Bytes<'b> {
    pub(in crate::wal) fn take(&mut self, length: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    pub(in crate::wal) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    pub(in crate::wal) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    fn unsigned(&mut self) -> u64 {
        match self.take(1)[0] {
            251 => u16::from_le_bytes(self.take(2).try_into().unwrap()).into(),
            252 => self.u32().into(),
            253 => self.u64(),
            small => small.into(),
        }
    }

    fn signed(&mut self) -> i64 {
        let zigzag = self.unsigned();
        (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
    }

    fn text(&mut self) -> String {
        let length = self.unsigned() as usize;
        String::from_utf8(self.take(length).to_vec()).unwrap()
    }
}
