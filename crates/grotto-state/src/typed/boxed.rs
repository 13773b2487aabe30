//! `Box<T>` is stored as `T`: what types that contain themselves need.

use super::bind::{Binder, NodeId};
use super::cursor::Cursor;
use super::declare::Declarations;
use super::encode::Writer;
use super::value::{Element, Owning};
use crate::error::StateResult;
use grotto_format::schema::{FieldType, TypeId};

impl<T: Element> Element for Box<T> {
    type Ref<'a> = T::Ref<'a>;
    const SCALAR: Option<FieldType> = T::SCALAR;

    fn type_name() -> String {
        T::type_name()
    }

    fn declare(out: &mut Declarations) {
        T::declare(out);
    }

    fn bind(binder: &mut Binder<'_>, id: TypeId) -> StateResult<NodeId> {
        T::bind(binder, id)
    }

    #[inline]
    fn read(at: Cursor<'_>, column: usize) -> T::Ref<'_> {
        <T as Element>::read(at, column)
    }

    fn own(at: Cursor<'_>, column: usize, owning: &mut Owning) -> StateResult<Self> {
        <T as Element>::own(at, column, owning).map(Box::new)
    }

    fn write_scalar(&self, out: &mut Writer<'_>) {
        (**self).write_scalar(out);
    }

    fn write_record(&self, node: NodeId, out: &mut Writer<'_>) -> StateResult<()> {
        (**self).write_record(node, out)
    }
}
