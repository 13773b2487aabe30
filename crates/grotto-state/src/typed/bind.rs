//! Binding: which column of a dataset's schema each field of a struct is.
//!
//! Owns: matching by name, the check of types, and the result. Never reads a record.

use super::keys;
use super::value::{Element, RecordType, Value};
use crate::error::{StateError, StateResult};
use crate::key::single;
use grotto_format::flat::MAX_DEPTH;
use grotto_format::schema::{FieldType, Schema, TypeId, TypeKind};
use std::any;
use std::collections::HashMap;

/// Position of a bound type in its [`Bound`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId(u32);

/// How a field of a struct is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The dataset has no such field.
    Absent,
    /// The column holds the value.
    Inline,
    /// The column refers to a record of this type.
    Reference(TypeId),
}

/// Where a field of a struct is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    column: u16,
    pub(crate) form: Form,
    pub(crate) node: NodeId,
}

impl Slot {
    pub(crate) const ABSENT: &'static Self = &Self {
        column: 0,
        form: Form::Absent,
        node: NodeId(u32::MAX),
    };

    #[inline]
    pub(crate) fn column(self) -> usize {
        usize::from(self.column)
    }

    pub(crate) fn position(self) -> u16 {
        self.column
    }
}

/// One Rust type bound to one schema type.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// Of a struct: its fields in order. Of a wrapper: its value. Of a collection: elements, or
    /// keys and values.
    pub(crate) slots: Vec<Slot>,
}

impl Node {
    pub(crate) const ABSENT: &'static Self = &Self { slots: Vec::new() };

    #[inline(always)]
    pub(crate) fn slot(&self, field: usize) -> &Slot {
        self.slots.get(field).unwrap_or(Slot::ABSENT)
    }
}

/// A struct bound to a schema, and all the types it refers to.
#[derive(Debug)]
pub struct Bound {
    type_id: TypeId,
    root: NodeId,
    nodes: Vec<Node>,
    /// The node of the root once more, which every lookup needs.
    root_node: Node,
    /// Column and type of a key that is one field of the record itself, and the same as the struct's.
    single: Option<(u16, FieldType)>,
    /// Why the struct's key finds nothing: the dataset has another one.
    key_refusal: Option<Box<str>>,
}

impl Bound {
    pub(crate) const ABSENT: &'static Self = &Self {
        type_id: TypeId(0),
        root: NodeId(u32::MAX),
        nodes: Vec::new(),
        root_node: Node { slots: Vec::new() },
        single: None,
        key_refusal: None,
    };

    pub(crate) fn new<T: RecordType>(
        schema: &Schema,
        id: TypeId,
        strict: bool,
    ) -> StateResult<Self> {
        let mut binder = Binder {
            schema,
            strict,
            place: None,
            depth: 0,
            known: HashMap::new(),
            nodes: Vec::new(),
        };
        let root = T::bind(&mut binder, id)?;
        let key_refusal = keys::refusal(schema, id, T::KEY);
        let key = schema.get(id).key().filter(|_| key_refusal.is_none());
        Ok(Self {
            type_id: id,
            root,
            root_node: binder
                .nodes
                .get(root.0 as usize)
                .cloned()
                .unwrap_or_default(),
            nodes: binder.nodes,
            single: key.and_then(single),
            key_refusal: key_refusal.map(String::into_boxed_str),
        })
    }

    /// Its type in the schema.
    #[must_use]
    pub fn type_id(&self) -> TypeId {
        self.type_id
    }

    #[inline(always)]
    pub(crate) fn key_refusal(&self) -> Option<&str> {
        self.key_refusal.as_deref()
    }

    #[inline(always)]
    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    #[inline(always)]
    pub(crate) fn root_node(&self) -> &Node {
        &self.root_node
    }

    #[inline(always)]
    pub(crate) fn single(&self) -> Option<(u16, FieldType)> {
        self.single
    }

    #[inline]
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id.0 as usize).unwrap_or(Node::ABSENT)
    }
}

/// Binds Rust types to the types of a schema.
#[derive(Debug)]
pub struct Binder<'s> {
    schema: &'s Schema,
    /// Whether every field of the struct must exist: when writing, where it would be lost.
    strict: bool,
    /// The field that is being bound.
    place: Option<(TypeId, &'s str)>,
    depth: usize,
    known: HashMap<(any::TypeId, TypeId), NodeId>,
    nodes: Vec<Node>,
}

impl<'s> Binder<'s> {
    /// Binds a struct to an object type.
    ///
    /// # Errors
    /// When the type is of another kind, or a field does not bind.
    pub fn object<T: Element>(
        &mut self,
        id: TypeId,
        fields: impl FnOnce(&mut Fields<'_, 's>) -> StateResult<()>,
    ) -> StateResult<NodeId> {
        match self.schema.get(id).kind {
            TypeKind::Object(_) => self.node::<T>(id, |binder| {
                let mut found = Fields {
                    binder,
                    id,
                    slots: Vec::new(),
                };
                fields(&mut found)?;
                Ok(found.slots)
            }),
            _ => Err(self.mismatch("an object type", id)),
        }
    }

    /// Binds a scalar to a wrapper type.
    pub(crate) fn wrapper<T: Element>(
        &mut self,
        scalar: FieldType,
        id: TypeId,
    ) -> StateResult<NodeId> {
        if self.schema.get(id).wrapped() != Some(scalar) {
            return Err(self.mismatch(scalar.keyword(), id));
        }
        let slot = Slot {
            column: 0,
            form: Form::Inline,
            node: NodeId(u32::MAX),
        };
        self.node::<T>(id, |_| Ok(vec![slot]))
    }

    pub(crate) fn list<T: Element, E: Element>(&mut self, id: TypeId) -> StateResult<NodeId> {
        match self.schema.get(id).kind {
            TypeKind::List { element } => {
                self.node::<T>(id, |b| Ok(vec![b.reference::<E>(element, 0)?]))
            }
            _ => Err(self.mismatch("a list", id)),
        }
    }

    pub(crate) fn set<T: Element, E: Element>(&mut self, id: TypeId) -> StateResult<NodeId> {
        match self.schema.get(id).kind {
            TypeKind::Set { element, .. } => {
                self.node::<T>(id, |b| Ok(vec![b.reference::<E>(element, 0)?]))
            }
            _ => Err(self.mismatch("a set", id)),
        }
    }

    pub(crate) fn map<T: Element, K: Element, V: Element>(
        &mut self,
        id: TypeId,
    ) -> StateResult<NodeId> {
        match self.schema.get(id).kind {
            TypeKind::Map { key, value, .. } => self.node::<T>(id, |b| {
                Ok(vec![b.reference::<K>(key, 0)?, b.reference::<V>(value, 0)?])
            }),
            _ => Err(self.mismatch("a map", id)),
        }
    }

    fn reference<E: Element>(&mut self, target: TypeId, column: u16) -> StateResult<Slot> {
        Ok(Slot {
            column,
            form: Form::Reference(target),
            node: E::bind(self, target)?,
        })
    }

    /// A node for `T` on `id`, bound once: types may refer to themselves.
    fn node<T: Element>(
        &mut self,
        id: TypeId,
        slots: impl FnOnce(&mut Self) -> StateResult<Vec<Slot>>,
    ) -> StateResult<NodeId> {
        let key = (any::TypeId::of::<T>(), id);
        if let Some(node) = self.known.get(&key) {
            return Ok(*node);
        }
        if self.depth > MAX_DEPTH {
            return Err(StateError::Limit(format!(
                "types nested more than {MAX_DEPTH} deep"
            )));
        }
        let node = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node { slots: Vec::new() });
        self.known.insert(key, node);
        self.depth += 1;
        let place = self.place;
        let slots = slots(self)?;
        self.place = place;
        self.depth -= 1;
        if let Some(reserved) = self.nodes.get_mut(node.0 as usize) {
            reserved.slots = slots;
        }
        Ok(node)
    }

    fn field<V: Value>(&mut self, column: usize, ty: FieldType) -> StateResult<Slot> {
        let column = column as u16;
        match (ty, V::Inner::SCALAR) {
            (FieldType::Reference(target), _) => self.reference::<V::Inner>(target, column),
            (found, Some(expected)) if found == expected => Ok(Slot {
                column,
                form: Form::Inline,
                node: NodeId(u32::MAX),
            }),
            (found, Some(expected)) => Err(self.mismatch_with(expected.keyword(), found.keyword())),
            (found, None) => Err(self.mismatch_with(&V::Inner::type_name(), found.keyword())),
        }
    }

    #[cold]
    fn mismatch(&self, expected: &str, id: TypeId) -> StateError {
        let found = self.schema.get(id);
        self.mismatch_with(expected, &format!("{} {}", found.kind_name(), found.name))
    }

    #[cold]
    fn mismatch_with(&self, expected: &str, found: &str) -> StateError {
        let place = match self.place {
            Some((id, field)) => format!("field {}.{field}: ", self.schema.get(id).name),
            None => String::new(),
        };
        StateError::Invalid(format!("{place}expected {expected}, found {found}"))
    }
}

/// Binds the fields of one struct, in order.
#[derive(Debug)]
pub struct Fields<'b, 's> {
    binder: &'b mut Binder<'s>,
    id: TypeId,
    slots: Vec<Slot>,
}

impl Fields<'_, '_> {
    /// Binds the next field.
    ///
    /// # Errors
    /// When the field has another type, or when binding for writing and there is none.
    pub fn field<V: Value>(&mut self, name: &str) -> StateResult<()> {
        let schema = self.binder.schema;
        let ty = schema.get(self.id);
        let slot = match ty.fields().iter().position(|f| f.name == name) {
            Some(column) => {
                let field = &ty.fields()[column];
                self.binder.place = Some((self.id, &field.name));
                self.binder.field::<V>(column, field.ty)?
            }
            // Its default would be a wrong answer.
            None if ty.leaves_out(name) => {
                let message = format!("field {}.{name} is left out here", ty.name);
                return Err(StateError::Invalid(message));
            }
            None if self.binder.strict => {
                let message = format!(
                    "type {}: expected a field {name} in the schema, found none",
                    ty.name
                );
                return Err(StateError::Invalid(message));
            }
            None => *Slot::ABSENT,
        };
        self.slots.push(slot);
        Ok(())
    }
}
