//! Primary keys: what may be looked up, how it hashes, how it is compared.
//!
//! Owns: the reading of key parts through references; the public hash that puts sets and maps in
//! order. Indexes use the private one of [`crate::hash`]. Never walks an index.

mod given;

pub use given::{Key, KeyValue, NoKey};
pub(crate) use given::{check, kind_fits, refusal, refusal_of};

use crate::hash::Secret;
use crate::record::Record;
use grotto_format::checksum::{KEY_SEED, key_fixed, key_var};
use grotto_format::schema::{FieldType, KeySpec, Schema, TypeId};

/// A primary key with its paths resolved.
#[derive(Clone, Debug)]
pub(crate) struct KeyInfo {
    pub(crate) paths: Vec<KeyPath>,
    /// The column and the type of a key that is one field of the record itself: most keys are such,
    /// and a lookup by them should not walk paths.
    pub(crate) single: Option<(u16, FieldType)>,
    /// What keys are hashed with in the index.
    pub(crate) secret: Secret,
}

#[derive(Clone, Debug)]
pub(crate) struct KeyPath {
    pub(crate) text: String,
    pub(crate) steps: Vec<u16>,
    pub(crate) leaf: FieldType,
}

impl KeyInfo {
    pub(crate) fn new(spec: &KeySpec, secret: Secret) -> Self {
        let path = |p: &grotto_format::schema::FieldPath| KeyPath {
            text: p.text.clone(),
            steps: p.steps.clone(),
            leaf: p.leaf,
        };
        Self {
            paths: spec.paths.iter().map(path).collect(),
            single: single(spec),
            secret,
        }
    }

    /// Columns of key parts that are fields of the record itself.
    pub(crate) fn own_columns(&self) -> Vec<u16> {
        self.paths
            .iter()
            .filter(|p| p.steps.len() == 1)
            .map(|p| p.steps[0])
            .collect()
    }
}

/// The column and the type of a key that is one field of the record itself.
pub(crate) fn single(spec: &KeySpec) -> Option<(u16, FieldType)> {
    match spec.paths.as_slice() {
        [only] if only.steps.len() == 1 => Some((only.steps[0], only.leaf)),
        _ => None,
    }
}

impl KeyPath {
    /// A path given by its steps alone.
    pub(crate) fn of_steps(schema: &Schema, mut id: TypeId, steps: &[u16]) -> Option<Self> {
        let mut leaf = None;
        for step in steps {
            let ty = schema.get(id).fields().get(usize::from(*step))?.ty;
            if let FieldType::Reference(to) = ty {
                id = to;
            }
            leaf = Some(ty);
        }
        Some(Self {
            text: String::new(),
            steps: steps.to_vec(),
            leaf: leaf?,
        })
    }
}

/// One part of a key, as it is hashed and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeyPart<'a> {
    /// int, long, float, double or boolean as a 64-bit word: integers sign-extended, floats as bits.
    Fixed(u64),
    /// Text or bytes.
    Var(&'a [u8]),
}

impl KeyPart<'_> {
    /// Mixes the part into the hash by which elements of sets and maps are put in order.
    pub(crate) fn mix_order(self, hash: u64) -> u64 {
        match self {
            Self::Fixed(word) => key_fixed(hash, word),
            Self::Var(bytes) => key_var(hash, bytes),
        }
    }
}

/// One part of the key of a record; `None` when it, or a reference on the way, is null.
#[inline]
pub(crate) fn read_part<'a>(record: &Record<'a>, path: &KeyPath) -> Option<KeyPart<'a>> {
    let (last, way) = path.steps.split_last()?;
    let mut record = *record;
    for step in way {
        let schema = record.state().schema();
        let FieldType::Reference(to) = schema
            .get(record.type_id())
            .fields()
            .get(usize::from(*step))?
            .ty
        else {
            return None;
        };
        record = record.follow(usize::from(*step), to)?;
    }
    let column = usize::from(*last);
    if record.is_null(column) {
        return None;
    }
    Some(match path.leaf {
        FieldType::String | FieldType::Bytes => KeyPart::Var(record.var(column)),
        _ => KeyPart::Fixed(record.word(column)),
    })
}

/// Whether two records have the same key, all parts of it. They may be of states with other schemas,
/// in which a key has other steps and the same meaning.
pub(crate) fn same(a: &Record<'_>, b: &Record<'_>) -> bool {
    let Some((of_a, of_b)) = info_of(a).zip(info_of(b)) else {
        return false;
    };
    let same = |(a_path, b_path)| {
        let part = read_part(a, a_path);
        part.is_some() && part == read_part(b, b_path)
    };
    of_a.paths.len() == of_b.paths.len() && of_a.paths.iter().zip(&of_b.paths).all(same)
}

fn info_of<'a>(record: &Record<'a>) -> Option<&'a KeyInfo> {
    let info = record.state().infos.get(record.type_id().index())?;
    info.key.as_ref()
}

/// The private hash of a record's key; `None` when part of the key is null.
pub(crate) fn hash_record(record: &Record<'_>, info: &KeyInfo) -> Option<u64> {
    let secret = &info.secret;
    let mut paths = info.paths.iter();
    let mixed = paths.try_fold(secret.start(), |hash, path| {
        Some(secret.mix(hash, read_part(record, path)?))
    });
    mixed.map(|hash| secret.finish(hash))
}

/// The hash by which elements of sets and maps with this key are put in order.
pub(crate) fn order_hash<K: KeyParts + ?Sized>(key: &K) -> u64 {
    (0..key.arity()).fold(KEY_SEED, |hash, position| {
        key.part(position).mix_order(hash)
    })
}

/// How messages show a key.
pub(crate) fn show(info: &KeyInfo, parts: &[KeyPart<'_>]) -> String {
    let texts: Vec<String> = info
        .paths
        .iter()
        .zip(parts)
        .map(|(path, part)| show_part(path.leaf, *part))
        .collect();
    texts.join(", ")
}

fn show_part(leaf: FieldType, part: KeyPart<'_>) -> String {
    match (leaf, part) {
        (FieldType::Boolean, KeyPart::Fixed(word)) => (word == 1).to_string(),
        (FieldType::Float, KeyPart::Fixed(word)) => f32::from_bits(word as u32).to_string(),
        (FieldType::Double, KeyPart::Fixed(word)) => f64::from_bits(word).to_string(),
        (_, KeyPart::Fixed(word)) => (word as i64).to_string(),
        (_, KeyPart::Var(bytes)) => format!("{:?}", String::from_utf8_lossy(bytes)),
    }
}

/// A key in the form that hashes and columns have. Whatever callers look up by has it; so have keys
/// read from records, whose kinds nobody needs to check.
pub(crate) trait KeyParts {
    /// Number of parts.
    fn arity(&self) -> usize;
    /// The part at a position below [`arity`](Self::arity).
    fn part(&self, position: usize) -> KeyPart<'_>;
}

impl<K: Key + ?Sized> KeyParts for K {
    #[inline(always)]
    fn arity(&self) -> usize {
        self.fields()
    }
    #[inline(always)]
    fn part(&self, position: usize) -> KeyPart<'_> {
        self.field(position).part()
    }
}

impl KeyParts for [KeyPart<'_>] {
    fn arity(&self) -> usize {
        self.len()
    }
    fn part(&self, position: usize) -> KeyPart<'_> {
        self[position]
    }
}

#[inline]
pub(crate) fn matches<K: KeyParts + ?Sized>(record: &Record<'_>, info: &KeyInfo, key: &K) -> bool {
    if let Some((column, _)) = info.single {
        return record.has(usize::from(column), key.part(0));
    }
    info.paths
        .iter()
        .enumerate()
        .all(|(i, path)| read_part(record, path) == Some(key.part(i)))
}
