//! JSON values without structure, as values of the schema.
//!
//! Owns: which of them stand for which. Never: says what is wrong with one; who reads it knows where it is.

use crate::flat::FlatBuilder;
use crate::schema::FieldType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A value without structure.
pub(super) enum Scalar<'t> {
    Integer(i64),
    /// An integer beyond `i64`.
    Large(u64),
    Float(f64),
    Boolean(bool),
    Text(&'t str),
}

/// Writes a scalar as a value of type `ty`; `false` if it is none.
#[inline]
pub(super) fn write(builder: &mut FlatBuilder, ty: FieldType, scalar: &Scalar<'_>) -> bool {
    match (ty, scalar) {
        (FieldType::Int, Scalar::Integer(value)) => match i32::try_from(*value) {
            Ok(value) => builder.int(value),
            Err(_) => return false,
        },
        (FieldType::Long, Scalar::Integer(value)) => builder.long(*value),
        (FieldType::Boolean, Scalar::Boolean(value)) => builder.boolean(*value),
        (FieldType::String, Scalar::Text(value)) => builder.var(value.as_bytes()),
        (FieldType::Bytes, Scalar::Text(value)) => match STANDARD.decode(value) {
            Ok(value) => builder.var(&value),
            Err(_) => return false,
        },
        (FieldType::Double, scalar) => match double(scalar) {
            Some(value) => builder.double(value),
            None => return false,
        },
        (FieldType::Float, scalar) => match float(scalar) {
            Some(value) => builder.float(value),
            None => return false,
        },
        _ => return false,
    }
    true
}

fn double(scalar: &Scalar<'_>) -> Option<f64> {
    match scalar {
        Scalar::Float(value) => Some(*value),
        Scalar::Integer(value) => Some(*value as f64),
        Scalar::Large(value) => Some(*value as f64),
        Scalar::Text(text) => not_finite(text),
        Scalar::Boolean(_) => None,
    }
}

fn float(scalar: &Scalar<'_>) -> Option<f32> {
    let value = match scalar {
        // Straight from the integer: by way of a double it would be rounded twice.
        Scalar::Integer(value) => *value as f32,
        Scalar::Large(value) => *value as f32,
        Scalar::Float(value) => *value as f32,
        Scalar::Text(text) => return not_finite(text).map(|value| value as f32),
        Scalar::Boolean(_) => return None,
    };
    value.is_finite().then_some(value)
}

/// The numbers that JSON cannot write.
pub(super) fn not_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}
