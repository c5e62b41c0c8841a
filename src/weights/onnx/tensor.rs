//! `TensorProto`: a tensor's numbers as a part of the file, wherever their bytes lie there as they are.
//!
//! `raw_data`, and `float_data` and `double_data` packed in one piece, are slices of the file. The other fields hold
//! varints, or single numbers with keys between them; those are converted.

use super::convert::Converted;
use super::wire::{Field, Reader, Span, Value, int, span, unlike};
use super::{Constant, Element, Result, Texts, malformed, once, unsupported};
use crate::weights::WeightsError;
use crate::weights::tensor::{DType, Tensor, contiguous_strides};

/// More dimensions than any operator takes.
const RANK: usize = 64;

/// The type of elements with this number (`TensorProto.DataType`).
pub(super) fn element(number: i64, at: u64) -> Result<Element> {
    let dtype = match number {
        1 => DType::F32,
        2 => DType::U8,
        3 => DType::I8,
        4 => DType::U16,
        5 => DType::I16,
        6 => DType::I32,
        7 => DType::I64,
        8 => return Ok(Element::Text),
        9 => DType::Bool,
        10 => DType::F16,
        11 => DType::F64,
        12 => DType::U32,
        13 => DType::U64,
        14 => DType::C64,
        15 => DType::C128,
        16 => DType::BF16,
        17 => DType::F8E4M3FN,
        18 => DType::F8E4M3FNUZ,
        19 => DType::F8E5M2,
        20 => DType::F8E5M2FNUZ,
        _ => return Err(no_element(number, at)),
    };
    Ok(Element::Number(dtype))
}

fn no_element(number: i64, at: u64) -> WeightsError {
    let name = match number {
        21 => "uint4",
        22 => "int4",
        23 => "float4e2m1",
        24 => "float8e8m0",
        25 => "uint2",
        26 => "int2",
        _ => {
            return malformed(
                at,
                format!("expected a type of elements from 1 to 26, found {number}"),
            );
        }
    };
    unsupported(format!(
        "it has elements of type {name}, which is not supported"
    ))
}

/// The field that holds elements of this type if `raw_data` does not.
pub(super) fn typed_field(element: Element) -> u32 {
    match element {
        Element::Text => 6,
        Element::Number(dtype) => match dtype {
            DType::F32 | DType::C64 => 4,
            DType::F64 | DType::C128 => 10,
            DType::I64 => 7,
            DType::U32 | DType::U64 => 11,
            _ => 5,
        },
    }
}

/// What a `TensorProto` says, before its numbers are looked at.
#[derive(Default)]
pub(super) struct Parts {
    dims: Vec<u64>,
    element: Option<Element>,
    name: String,
    raw: Option<Span>,
    /// How many fields hold numbers or strings of each typed field, 4 to 7, 10 and 11; and the last of them.
    typed: Vec<(u32, u64, Field)>,
}

impl Parts {
    fn read(reader: &mut Reader, mut message: Span, what: &str) -> Result<Self> {
        let mut parts = Self::default();
        let (mut external, mut location) = (false, None);
        while let Some(field) = reader.next(&mut message)? {
            match field.number {
                1 => parts.dims(reader, field)?,
                2 => parts.element = Some(element(int(field)?, field.at)?),
                3 => {
                    let message = "expected a whole tensor, found a segment of one";
                    return Err(malformed(field.at, message.to_owned()));
                }
                8 => parts.name = reader.text(field)?,
                9 => once(&mut parts.raw, span(field)?, field)?,
                4..=7 | 10 | 11 => parts.typed(field),
                13 => {
                    let (key, value) = super::entry(reader, span(field)?)?;
                    location = location.or((key == "location").then_some(value));
                }
                14 => external = int(field)? != 0,
                _ => {}
            }
        }
        if external || location.is_some() {
            return Err(unsupported(format!(
                "the numbers of its {what} `{}` are in another file, `{}`: save it with the data inside \
                 (`onnx.save(model, path, save_as_external_data=False)`)",
                parts.name,
                location.unwrap_or_default()
            )));
        }
        Ok(parts)
    }

    fn dims(&mut self, reader: &mut Reader, field: Field) -> Result<()> {
        let mut push = |number: u64| {
            let known = u64::try_from(number as i64).ok();
            let dim = known.filter(|_| self.dims.len() < RANK).ok_or_else(|| {
                malformed(
                    field.at,
                    format!(
                        "expected at most {RANK} dimensions, none of them negative, found {}",
                        number as i64
                    ),
                )
            })?;
            self.dims.push(dim);
            Ok(())
        };
        match field.value {
            Value::Varint(number) => push(number),
            Value::Span(mut packed) => {
                while packed.start < packed.end {
                    push(reader.varint(&mut packed)?)?;
                }
                Ok(())
            }
            found => Err(unlike(field, "dimensions", found)),
        }
    }

    fn typed(&mut self, field: Field) {
        match self.typed.iter_mut().find(|t| t.0 == field.number) {
            Some((_, count, last)) => {
                *count += 1;
                *last = field;
            }
            None => self.typed.push((field.number, 1, field)),
        }
    }

    /// How many elements the shape has.
    fn elements(&self, at: u64) -> Result<u64> {
        let mut dims = self.dims.iter();
        let product = dims.try_fold(1_u64, |product, dim| product.checked_mul((*dim).max(1)));
        match product {
            // Strides are products of the others even where one dimension is 0.
            Some(_) if self.dims.contains(&0) => Ok(0),
            Some(product) => Ok(product),
            None => Err(malformed(
                at,
                format!("expected fewer than 2^64 elements, found {:?}", self.dims),
            )),
        }
    }

    pub fn wrong_size(&self, at: u64, expected: u64, found: &str, unit: &str) -> WeightsError {
        malformed(
            at,
            format!(
                "expected {expected} {unit} in `{}` of shape {:?}, found {found}",
                self.name, self.dims
            ),
        )
    }
}

/// The name of a `TensorProto`.
pub(super) fn name(reader: &mut Reader, mut message: Span) -> Result<String> {
    while let Some(field) = reader.next(&mut message)? {
        if field.number == 8 {
            return reader.text(field);
        }
    }
    Ok(String::new())
}

/// Reads a tensor, which messages call `what`.
pub(super) fn constant(
    reader: &mut Reader,
    message: Span,
    what: &str,
    converted: &mut Converted,
) -> Result<Constant> {
    reader.hold((size_of::<Constant>() + 4 * RANK) as u64)?;
    let parts = Parts::read(reader, message, what)?;
    let at = message.start;
    let element = parts.element.ok_or_else(|| {
        malformed(
            at,
            format!("expected the type of `{}`, found none", parts.name),
        )
    })?;
    let wanted = typed_field(element);
    let mut typed = parts.typed.iter();
    let stray = typed.find(|(number, ..)| *number != wanted || parts.raw.is_some());
    if let Some((number, _, field)) = stray {
        return Err(malformed(
            field.at,
            format!(
                "expected the numbers of `{}` in raw_data or in field {wanted}, found some in field {number}",
                parts.name
            ),
        ));
    }
    match element {
        Element::Text => texts(reader, message, parts).map(Constant::Texts),
        Element::Number(dtype) => {
            numbers(reader, message, parts, dtype, converted).map(Constant::Numbers)
        }
    }
}

fn numbers(
    reader: &mut Reader,
    message: Span,
    parts: Parts,
    dtype: DType,
    converted: &mut Converted,
) -> Result<Tensor> {
    let at = message.start;
    let elements = parts.elements(at)?;
    let size = elements.checked_mul(dtype.size());
    let size = size.ok_or_else(|| parts.wrong_size(at, elements, "a file that ends", "numbers"))?;
    let fixed = matches!(dtype, DType::F32 | DType::C64 | DType::F64 | DType::C128);
    let in_place = match (parts.raw, parts.typed.as_slice()) {
        (Some(raw), _) => Some(raw),
        (None, [(_, 1, field)]) if fixed => match field.value {
            Value::Span(packed) => Some(packed),
            _ => None,
        },
        _ => None,
    };
    let (storage, offset) = match in_place {
        Some(bytes) if bytes.size() == size => (reader.slice(bytes)?, 0),
        Some(bytes) => {
            let found = bytes.size().to_string();
            return Err(parts.wrong_size(bytes.start, size, &found, "bytes"));
        }
        None => {
            let offset = converted.size();
            converted.convert(reader, message, &parts, dtype, size)?;
            (Vec::new().into(), offset)
        }
    };
    Ok(Tensor {
        strides: contiguous_strides(&parts.dims),
        name: parts.name,
        dtype,
        shape: parts.dims,
        storage,
        offset,
        big_endian: false,
    })
}

fn texts(reader: &mut Reader, mut message: Span, parts: Parts) -> Result<Texts> {
    let at = message.start;
    let elements = parts.elements(at)?;
    let mut values = Vec::new();
    while let Some(field) = reader.next(&mut message)? {
        if field.number == 6 {
            values.push(reader.text(field)?);
        }
    }
    if values.len() as u64 != elements || parts.raw.is_some() {
        let found = values.len().to_string();
        return Err(parts.wrong_size(at, elements, &found, "strings"));
    }
    Ok(Texts {
        name: parts.name,
        shape: parts.dims,
        values,
    })
}
