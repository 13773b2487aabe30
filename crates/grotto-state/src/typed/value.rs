//! What a Rust type must know to live in records.
//!
//! Owns: the traits, and what `Option` means. Never knows a concrete type.

use super::bind::{Binder, Form, NodeId, Slot};
use super::cache::Bindings;
use super::cursor::Cursor;
use super::declare::Declarations;
use super::encode::Writer;
use super::keys::KeyNode;
use crate::error::{StateError, StateResult};
use crate::key::Key;
use crate::record::Record;
use grotto_format::flat::MAX_DEPTH;
use grotto_format::schema::{FieldType, TypeId};

/// A Rust type whose values are records: of a struct's type, of a wrapper, or of a collection.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a record",
    label = "not a type that records can hold",
    note = "supported are i32, i64, f32, f64, bool, String, Vec<u8>, structs with #[derive(Record)], \
            and Option, Vec, HashSet, BTreeSet, HashMap, BTreeMap and Box of these"
)]
pub trait Element: Sized + 'static {
    /// What reading gives: a value, a slice, or an accessor.
    type Ref<'a>: Copy;

    /// The type of a field that holds the value itself; `None` for what is always a reference.
    const SCALAR: Option<FieldType> = None;

    /// What a key path meets here.
    const KEY_NODE: KeyNode = match Self::SCALAR {
        Some(scalar) => KeyNode::Scalar(scalar),
        None => KeyNode::Closed,
    };

    /// Name of the schema type of its records.
    fn type_name() -> String;

    /// Declares that type, and all it refers to.
    fn declare(out: &mut Declarations);

    /// Binds to a type of the schema.
    ///
    /// # Errors
    /// When the type has another kind or a field another type.
    fn bind(binder: &mut Binder<'_>, id: TypeId) -> StateResult<NodeId>;

    /// Reads. A scalar is in the column of the cursor's record, anything else is that record.
    fn read(at: Cursor<'_>, column: usize) -> Self::Ref<'_>;

    /// Copies out.
    ///
    /// # Errors
    /// When records nest too deep or are too many.
    fn own(at: Cursor<'_>, column: usize, owning: &mut Owning) -> StateResult<Self>;

    /// Writes the value of a scalar. Nothing for other types, which never are in a field.
    fn write_scalar(&self, _out: &mut Writer<'_>) {}

    /// Writes it as a record of the bound type.
    ///
    /// # Errors
    /// When the record passes a limit.
    fn write_record(&self, node: NodeId, out: &mut Writer<'_>) -> StateResult<()>;
}

/// A Rust type that a field of a struct may have: an [`Element`], or an `Option` of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a record",
    label = "not a type that records can hold",
    note = "supported are i32, i64, f32, f64, bool, String, Vec<u8>, types with #[derive(Record)], \
            and Option, Vec, HashSet, BTreeSet, HashMap, BTreeMap and Box of these; any other type by \
            #[grotto(with = \"module\")]"
)]
pub trait Value: Sized + 'static {
    /// What reading gives.
    type Ref<'a>: Copy;

    /// The type without `Option`.
    type Inner: Element;

    /// Reads a field of the cursor's record.
    fn read<'a>(at: Cursor<'a>, slot: &Slot) -> Self::Ref<'a>;

    /// Copies a field out.
    ///
    /// # Errors
    /// When records nest too deep or are too many.
    fn own(at: Cursor<'_>, slot: Slot, owning: &mut Owning) -> StateResult<Self>;

    /// The value to write; `None` for null.
    fn present(&self) -> Option<&Self::Inner>;
}

impl<T: Element> Value for T {
    type Ref<'a> = T::Ref<'a>;
    type Inner = T;

    #[inline(always)]
    fn read<'a>(at: Cursor<'a>, slot: &Slot) -> T::Ref<'a> {
        match slot.form {
            Form::Inline => T::read(at, slot.column()),
            Form::Reference(_) | Form::Absent => T::read(at.elsewhere(slot), 0),
        }
    }

    fn own(at: Cursor<'_>, slot: Slot, owning: &mut Owning) -> StateResult<T> {
        match slot.form {
            Form::Inline => T::own(at, slot.column(), owning),
            Form::Reference(_) => T::own(at.follow(slot).unwrap_or(Cursor::ABSENT), 0, owning),
            Form::Absent => T::own(Cursor::ABSENT, 0, owning),
        }
    }

    fn present(&self) -> Option<&T> {
        Some(self)
    }
}

impl<T: Element> Value for Option<T> {
    type Ref<'a> = Option<T::Ref<'a>>;
    type Inner = T;

    #[inline(always)]
    fn read<'a>(at: Cursor<'a>, slot: &Slot) -> Option<T::Ref<'a>> {
        let (at, column) = at.some::<T>(*slot)?;
        Some(T::read(at, column))
    }

    fn own(at: Cursor<'_>, slot: Slot, owning: &mut Owning) -> StateResult<Option<T>> {
        match at.some::<T>(slot) {
            Some((at, column)) => T::own(at, column, owning).map(Some),
            None => Ok(None),
        }
    }

    fn present(&self) -> Option<&T> {
        self.as_ref()
    }
}

/// Sets and maps: what may have a hash key.
#[diagnostic::on_unimplemented(
    message = "`hash_key` needs a set or a map, `{Self}` is neither",
    label = "not a set or a map"
)]
pub trait Hashed: Element {
    /// Whether what is looked up is a scalar, which is found by its value without a word.
    const BY_VALUE: bool;

    /// Declares a type of this name with a hash key.
    fn declare_hashed(out: &mut Declarations, name: String, hash_key: &[&str]);
}

/// A struct that is a record type. Implement it with `#[derive(Record)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a record",
    label = "needs `#[derive(Record)]`"
)]
pub trait RecordType: Element {
    /// Name of its type in the schema.
    const TYPE: &'static str;

    /// Paths of its primary key, in the names of the schema; none without a key.
    const KEY: &'static [&'static str];

    /// What its records are looked up by: of one field the value, of several a tuple of them, in the
    /// order of the key; text as `&str` and bytes as `&[u8]`. [`NoKey`](crate::NoKey) without a key.
    type Key<'k>: Key;

    /// Where its bindings are kept: one static per type, so that binding happens once per schema.
    fn bindings() -> &'static Bindings;
}

/// What all accessors of structs have besides their fields. A trait, so that a field may be named
/// like any of these.
pub trait RecordRef<'a>: Copy {
    /// The struct it reads.
    type Owned: RecordType<Ref<'a> = Self>;

    /// Where it stands.
    fn cursor(&self) -> Cursor<'a>;

    /// The record itself; `None` for a nested struct that the dataset does not have.
    fn record(&self) -> Option<Record<'a>> {
        self.cursor().record()
    }

    /// A copy that does not borrow the state.
    ///
    /// # Errors
    /// When records nest deeper than [`MAX_DEPTH`] or are more than 16 million.
    fn to_struct(&self) -> StateResult<Self::Owned> {
        <Self::Owned as Element>::own(self.cursor(), 0, &mut Owning::default())
    }
}

/// Most records that one copied-out record may consist of.
const MAX_RECORDS: usize = 1 << 24;

/// Limits while a record is copied out: references of a hostile state may form circles.
#[derive(Debug, Default)]
pub struct Owning {
    depth: usize,
    records: usize,
}

impl Owning {
    /// Copies one nested record out.
    ///
    /// # Errors
    /// When records nest too deep or are too many.
    pub fn nested<T>(&mut self, copy: impl FnOnce(&mut Self) -> StateResult<T>) -> StateResult<T> {
        if self.depth > MAX_DEPTH {
            return Err(StateError::Limit(format!(
                "records nested more than {MAX_DEPTH} deep"
            )));
        }
        if self.records >= MAX_RECORDS {
            return Err(StateError::Limit(format!(
                "a record of more than {MAX_RECORDS} records"
            )));
        }
        self.depth += 1;
        self.records += 1;
        let copied = copy(self);
        self.depth -= 1;
        copied
    }
}
