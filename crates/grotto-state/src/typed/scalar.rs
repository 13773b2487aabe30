//! Numbers, booleans, text and bytes.
//!
//! Owns: how each is read, copied and written. Never knows where its column is.

use super::bind::{Binder, NodeId};
use super::cursor::Cursor;
use super::declare::Declarations;
use super::encode::Writer;
use super::value::{Element, Owning};
use crate::error::StateResult;
use crate::record::Record;
use grotto_format::schema::{FieldType, TypeId};

/// Types that `#[grotto(dedup)]` can move into a record of their own, stored once per value.
#[diagnostic::on_unimplemented(
    message = "`dedup` needs text or bytes, not `{Self}`",
    label = "numbers are smaller than a reference, and nested records are always stored once"
)]
pub trait Dedup: Element {}

impl Dedup for String {}
impl Dedup for Vec<u8> {}

macro_rules! scalar {
    ($($ty:ty, $reference:ty, $wrapper:literal, $kind:ident, $record:ident, $column:ident => $read:expr, $value:ident, $out:ident => $write:expr;)*) => {$(
        impl Element for $ty {
            type Ref<'a> = $reference;
            const SCALAR: Option<FieldType> = Some(FieldType::$kind);

            fn type_name() -> String {
                $wrapper.to_owned()
            }

            fn declare(out: &mut Declarations) {
                out.wrapper($wrapper, FieldType::$kind);
            }

            fn bind(binder: &mut Binder<'_>, id: TypeId) -> StateResult<NodeId> {
                binder.wrapper::<Self>(FieldType::$kind, id)
            }

            #[inline(always)]
            fn read(at: Cursor<'_>, $column: usize) -> Self::Ref<'_> {
                #[inline(always)]
                fn read<'a>($record: Record<'a>, $column: usize) -> $reference {
                    $read
                }
                match at.record() {
                    Some(record) => read(record, $column),
                    None => Default::default(),
                }
            }

            fn own(at: Cursor<'_>, column: usize, _: &mut Owning) -> StateResult<Self> {
                Ok(<Self as Element>::read(at, column).into())
            }

            fn write_scalar(&self, out: &mut Writer<'_>) {
                let ($value, $out) = (self, out.flat());
                $write;
            }

            fn write_record(&self, _: NodeId, out: &mut Writer<'_>) -> StateResult<()> {
                out.wrapped(self);
                Ok(())
            }
        }
    )*};
}

// `Record::word` gives zero for null, which is the default of every number and of `bool`.
scalar! {
    i32, i32, "Integer", Int, r, c => r.word(c) as i32, v, out => out.int(*v);
    i64, i64, "Long", Long, r, c => r.word(c) as i64, v, out => out.long(*v);
    f32, f32, "Float", Float, r, c => f32::from_bits(r.word(c) as u32), v, out => out.float(*v);
    f64, f64, "Double", Double, r, c => f64::from_bits(r.word(c)), v, out => out.double(*v);
    bool, bool, "Boolean", Boolean, r, c => r.word(c) != 0, v, out => out.boolean(*v);
    String, &'a str, "String", String, r, c => r.text(c), v, out => out.var(v.as_bytes());
    Vec<u8>, &'a [u8], "Bytes", Bytes, r, c => r.var(c), v, out => out.var(v);
}
