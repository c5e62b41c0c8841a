//! Reads a tensor's elements in row-major order, wherever they are in its storage, in bounded memory.
//!
//! A contiguous tensor is read straight from its storage. Any other is gathered in blocks: the elements of a block are
//! visited in the order in which they lie in the storage, so that even a transposed matrix is read in long runs.

use std::io::{self, Read};

use super::Tensor;
use crate::blob::Blob;

/// Bytes gathered at a time by all threads together, and by one. The larger a block, the longer the runs that are read:
/// those of a transposed matrix are as long as the block has rows.
const BLOCKS: u64 = 32 << 20;
const SMALLEST_BLOCK: u64 = 1 << 20;
const LARGEST_BLOCK: u64 = 16 << 20;

/// Bytes of the storage that are looked at through one read.
const WINDOW: u64 = 256 << 10;

/// Gaps of at most this are read along with what is wanted: less than a read costs.
const GAP: u64 = 4096;

/// A dimension: how many steps, how far each goes in the storage, and how far in the block, in bytes.
#[derive(Clone, Copy, Debug)]
struct Dimension {
    count: u64,
    stride: u64,
    step: u64,
}

/// The elements of a tensor, in row-major order, as little-endian bytes.
#[derive(Debug)]
pub struct TensorReader<'a> {
    tensor: &'a Tensor,
    /// Of the tensor, outermost first; those of one step are left out and those that continue each other are one.
    dimensions: Vec<Dimension>,
    /// The dimension that blocks divide, and how many of its steps make a block.
    split: usize,
    rows: u64,
    /// The index of the next block's first element: of the dimensions before `split`, and of `split`.
    outer: Vec<u64>,
    row: u64,
    /// Bytes that are still to be gathered.
    left: u64,
    block: Vec<u8>,
    taken: usize,
    window: Window,
}

impl<'a> TensorReader<'a> {
    pub(super) fn new(tensor: &'a Tensor) -> io::Result<Self> {
        let block = match tensor.contiguous() {
            Some(_) => WINDOW,
            None => {
                let block = BLOCKS / rayon::current_num_threads() as u64;
                block.clamp(SMALLEST_BLOCK, LARGEST_BLOCK)
            }
        };
        Self::with_block(tensor, block)
    }

    /// A reader that gathers this many bytes at a time.
    pub(super) fn with_block(tensor: &'a Tensor, block: u64) -> io::Result<Self> {
        tensor
            .check()
            .map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))?;
        let item = tensor.dtype.size();
        let dimensions = dimensions(tensor);
        let (split, inner) = split(&dimensions, item, block);
        Ok(Self {
            outer: vec![0; split],
            rows: (block / inner).max(1),
            row: 0,
            split,
            dimensions,
            left: tensor.size(),
            block: Vec::new(),
            taken: 0,
            window: Window::default(),
            tensor,
        })
    }

    /// Gathers the next block; an empty one is the end.
    fn fill(&mut self) -> io::Result<()> {
        self.block.clear();
        self.taken = 0;
        if self.left == 0 {
            return Ok(());
        }
        let item = self.tensor.dtype.size();
        let mut start = self.tensor.offset * item;
        for (index, dimension) in self.outer.iter().zip(&self.dimensions) {
            start += index * dimension.stride;
        }
        let mut inside: Vec<Dimension> = self
            .dimensions
            .get(self.split..)
            .unwrap_or_default()
            .to_vec();
        if let Some(first) = inside.first_mut() {
            start += self.row * first.stride;
            first.count = self.rows.min(first.count - self.row);
        }
        let mut step = item;
        for dimension in inside.iter_mut().rev() {
            dimension.step = step;
            step *= dimension.count;
        }
        self.block.resize(step as usize, 0);
        let mut gather = Gather {
            storage: &self.tensor.storage,
            item: item as usize,
            window: &mut self.window,
            block: &mut self.block,
        };
        gather.run(inside, start)?;
        if self.tensor.big_endian {
            swap(&mut self.block, self.tensor.dtype.swap_size() as usize);
        }
        self.left -= step;
        self.advance();
        Ok(())
    }

    /// Goes on to the next block.
    fn advance(&mut self) {
        let Some(first) = self.dimensions.get(self.split) else {
            return;
        };
        self.row += self.rows.min(first.count - self.row);
        if self.row < first.count {
            return;
        }
        self.row = 0;
        for (index, dimension) in self.outer.iter_mut().zip(&self.dimensions).rev() {
            *index += 1;
            if *index < dimension.count {
                return;
            }
            *index = 0;
        }
    }
}

impl Read for TensorReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.block.len() {
            self.fill()?;
        }
        let rest = self.block.get(self.taken..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        let (now, _) = buffer.split_at_mut(count);
        now.copy_from_slice(rest.get(..count).unwrap_or_default());
        self.taken += count;
        Ok(count)
    }
}

/// The tensor's dimensions with strides in bytes, as few as describe it.
fn dimensions(tensor: &Tensor) -> Vec<Dimension> {
    let item = tensor.dtype.size();
    let mut merged: Vec<Dimension> = Vec::new();
    if tensor.elements() == 0 {
        return merged;
    }
    for (count, stride) in tensor.shape.iter().zip(&tensor.strides) {
        let (count, stride) = (*count, stride.saturating_mul(item));
        match merged.last_mut() {
            _ if count == 1 => {}
            Some(outer) if outer.stride == stride.saturating_mul(count) => {
                outer.count *= count;
                outer.stride = stride;
            }
            _ => merged.push(Dimension {
                count,
                stride,
                step: 0,
            }),
        }
    }
    merged
}

/// The outermost dimension of which a step fits into a block, and the bytes of such a step.
fn split(dimensions: &[Dimension], item: u64, block: u64) -> (usize, u64) {
    let mut inner = item;
    for (index, dimension) in dimensions.iter().enumerate().rev() {
        let outer = inner.saturating_mul(dimension.count);
        if index == 0 || outer > block {
            return (index, inner);
        }
        inner = outer;
    }
    (0, inner)
}

/// Brings the bytes of each number into the other order.
fn swap(bytes: &mut [u8], size: usize) {
    if size > 1 {
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
}

/// Fills one block.
struct Gather<'a> {
    storage: &'a Blob,
    item: usize,
    window: &'a mut Window,
    block: &'a mut [u8],
}

impl Gather<'_> {
    /// Copies the elements that `dimensions` reach from byte `start` of the storage, in the order of the storage.
    fn run(&mut self, mut dimensions: Vec<Dimension>, start: u64) -> io::Result<()> {
        dimensions.sort_by_key(|dimension| std::cmp::Reverse(dimension.stride));
        let line = dimensions.pop().unwrap_or(Dimension {
            count: 1,
            stride: 0,
            step: 0,
        });
        let ahead = dimensions.last().is_some_and(|next| next.stride <= GAP);
        let mut index = vec![0; dimensions.len()];
        let (mut from, mut to) = (start, 0);
        loop {
            self.line(line, from, to, ahead)?;
            let mut level = dimensions.len();
            loop {
                let Some(inner) = level.checked_sub(1) else {
                    return Ok(());
                };
                level = inner;
                let (Some(at), Some(dimension)) = (index.get_mut(level), dimensions.get(level))
                else {
                    return Ok(());
                };
                *at += 1;
                if *at < dimension.count {
                    from += dimension.stride;
                    to += dimension.step;
                    break;
                }
                from -= (*at - 1) * dimension.stride;
                to -= (*at - 1) * dimension.step;
                *at = 0;
            }
        }
    }

    /// Copies the elements of one dimension.
    fn line(&mut self, line: Dimension, from: u64, to: u64, ahead: bool) -> io::Result<()> {
        let item = self.item as u64;
        if line.stride == item && line.step == item {
            return self.run_of_bytes(line.count * item, from, to, ahead);
        }
        // So many elements as one look through the window shows.
        let together = match line.stride {
            0 => line.count,
            stride if stride > GAP => 1,
            stride => ((WINDOW - item) / stride + 1).min(line.count),
        };
        let mut done = 0;
        while done < line.count {
            let count = together.min(line.count - done);
            let span = (count - 1) * line.stride + item;
            let seen = self
                .window
                .look(self.storage, from + done * line.stride, span, ahead)?;
            let target = self.block.get_mut((to + done * line.step) as usize..);
            scatter(
                seen,
                target.unwrap_or_default(),
                self.item,
                count as usize,
                line,
            );
            done += count;
        }
        Ok(())
    }

    /// Copies bytes that lie together in the storage and in the block.
    fn run_of_bytes(&mut self, size: u64, from: u64, to: u64, ahead: bool) -> io::Result<()> {
        let target = self.block.get_mut(to as usize..(to + size) as usize);
        let target = target.unwrap_or_default();
        if ahead && size <= GAP {
            target.copy_from_slice(self.window.look(self.storage, from, size, ahead)?);
            return Ok(());
        }
        self.storage.read_exact_at(target, from)
    }
}

/// Copies `count` elements from every `stride` bytes of one slice to every `step` bytes of another.
fn scatter(from: &[u8], to: &mut [u8], item: usize, count: usize, line: Dimension) {
    fn copy<const N: usize>(from: &[u8], to: &mut [u8], count: usize, stride: usize, step: usize) {
        for index in 0..count {
            let source = from.get(index * stride..index * stride + N);
            let target = to.get_mut(index * step..index * step + N);
            if let (Some(source), Some(target)) = (source, target) {
                target.copy_from_slice(source);
            }
        }
    }
    let (stride, step) = (line.stride as usize, line.step as usize);
    match item {
        1 => copy::<1>(from, to, count, stride, step),
        2 => copy::<2>(from, to, count, stride, step),
        4 => copy::<4>(from, to, count, stride, step),
        8 => copy::<8>(from, to, count, stride, step),
        _ => copy::<16>(from, to, count, stride, step),
    }
}

/// A part of the storage that has been read.
#[derive(Debug, Default)]
struct Window {
    bytes: Vec<u8>,
    start: u64,
}

impl Window {
    /// The bytes at `offset`, read if they are not there yet; with `ahead`, what follows them is read along.
    fn look(&mut self, storage: &Blob, offset: u64, size: u64, ahead: bool) -> io::Result<&[u8]> {
        let end = self.start + self.bytes.len() as u64;
        if offset < self.start || offset + size > end {
            let rest = storage.size().saturating_sub(offset);
            let wanted = if ahead {
                WINDOW.min(rest).max(size)
            } else {
                size
            };
            self.bytes.resize(wanted as usize, 0);
            self.start = offset;
            storage.read_exact_at(&mut self.bytes, offset)?;
        }
        let at = (offset - self.start) as usize;
        let seen = self.bytes.get(at..at + size as usize);
        seen.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
