//! Numbers that do not lie in the file as they are, converted into a temporary file.

use std::io::{self, Write};

use super::tensor::{Parts, typed_field};
use super::wire::{Reader, Span, Value, unlike};
use super::{AttributeValue, Constant, Element, Graph, Result, malformed};
use crate::blob::{Blob, Spill};
use crate::weights::tensor::{DType, Tensor};

/// The numbers that do not lie in the file as they are, one tensor after another. Until all are there, a tensor that
/// waits for its own has an empty storage, and their place as its offset.
#[derive(Default)]
pub(super) struct Converted {
    spill: Spill,
    /// What the spill is given next: numbers come one by one.
    buffer: Vec<u8>,
}

/// How many bytes the spill is given at a time.
const PIECE: usize = 1 << 16;

impl Converted {
    pub fn size(&self) -> u64 {
        self.spill.size() + self.buffer.len() as u64
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend(bytes);
        if self.buffer.len() >= PIECE {
            self.spill.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Converts the numbers in a tensor's typed field: `size` bytes.
    pub fn convert(
        &mut self,
        reader: &mut Reader,
        mut message: Span,
        parts: &Parts,
        dtype: DType,
        size: u64,
    ) -> Result<()> {
        let at = message.start;
        let wanted = typed_field(Element::Number(dtype));
        let end = self.size().saturating_add(size);
        while let Some(field) = reader.next(&mut message)? {
            if field.number != wanted {
                continue;
            }
            match field.value {
                Value::Varint(number) => self.push(number, dtype, field.at)?,
                Value::Fixed32(bits) if wanted == 4 => self.write(&bits.to_le_bytes())?,
                Value::Fixed64(bits) if wanted == 10 => self.write(&bits.to_le_bytes())?,
                Value::Span(mut packed) if matches!(wanted, 4 | 10) => {
                    while packed.start < packed.end && self.size() <= end {
                        let [byte] = reader.array(&mut packed)?;
                        self.write(&[byte])?;
                    }
                }
                Value::Span(mut packed) => {
                    while packed.start < packed.end && self.size() <= end {
                        let at = packed.start;
                        let number = reader.varint(&mut packed)?;
                        self.push(number, dtype, at)?;
                    }
                }
                found => return Err(unlike(field, "numbers", found)),
            }
            if self.size() > end {
                return Err(parts.wrong_size(field.at, size, "more", "bytes"));
            }
        }
        match end - self.size() {
            0 => Ok(()),
            lacking => {
                let found = (size - lacking).to_string();
                Err(parts.wrong_size(at, size, &found, "bytes"))
            }
        }
    }

    /// One number of `int32_data`, `int64_data` or `uint64_data`, as the bytes of an element.
    fn push(&mut self, number: u64, dtype: DType, at: u64) -> Result<()> {
        let fits = match dtype {
            // Negative int32 are written in ten bytes; protobuf takes the lower 32 bits.
            DType::I64 | DType::U64 | DType::I32 => true,
            DType::I16 => i16::try_from(number as i64).is_ok(),
            DType::I8 => i8::try_from(number as i64).is_ok(),
            DType::U32 => u32::try_from(number).is_ok(),
            DType::U16 | DType::F16 | DType::BF16 => u16::try_from(number).is_ok(),
            DType::Bool => number <= 1,
            _ => u8::try_from(number).is_ok(),
        };
        let bytes = number.to_le_bytes();
        let bytes = bytes.get(..dtype.size() as usize).filter(|_| fits);
        let bytes = bytes.ok_or_else(|| {
            malformed(
                at,
                format!("expected a number of type {dtype}, found {}", number as i64),
            )
        })?;
        self.write(bytes)
    }

    /// Gives all tensors that wait for them their numbers.
    pub fn place(mut self, graph: &mut Graph) -> Result<()> {
        self.spill.write_all(&self.buffer)?;
        let all = self.spill.finish();
        for tensor in &mut graph.initialisers {
            place(tensor, &all)?;
        }
        for node in &mut graph.nodes {
            for attribute in &mut node.attributes {
                let constants = match &mut attribute.value {
                    AttributeValue::Tensor(constant) => std::slice::from_mut(constant),
                    AttributeValue::Tensors(list) => list,
                    _ => continue,
                };
                for constant in constants {
                    if let Constant::Numbers(tensor) = constant {
                        place(tensor, &all)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn place(tensor: &mut Tensor, all: &Blob) -> Result<()> {
    let size = tensor.elements() * tensor.dtype.size();
    if tensor.storage.size() == size {
        tensor.offset = 0;
        return Ok(());
    }
    let part = all.slice(tensor.offset..tensor.offset + size);
    tensor.storage = part.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
    tensor.offset = 0;
    Ok(())
}
