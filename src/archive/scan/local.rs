//! The local headers, and that entries fill the file from its beginning to the central directory.

use std::io;

use super::central::{Wide, take_zip64};
use super::{Scanned, Walk};
use crate::archive::format::{
    Common, DESCRIPTOR, HAS_DESCRIPTOR, IN_ZIP64_32, LOCAL_SIZE, local_header,
};
use crate::archive::path::EntryName;
use crate::archive::problem::{Problem, Record, show_name};

impl<N: EntryName> Walk<'_, N> {
    /// Walks the file from its beginning to the central directory: local header, data, descriptor, and so
    /// on, without gap or overlap. Each entry is read only as far as its neighbour, so the walk reads no
    /// byte twice, and who overlaps any entry overlaps its neighbour.
    pub(super) fn locals(&mut self, entries: &mut [Scanned<N>], directory: u64) -> io::Result<()> {
        let mut order: Vec<&mut Scanned<N>> = entries.iter_mut().collect();
        order.sort_by_key(|entry| entry.offset);
        let mut covered = 0;
        let mut order = order.into_iter().peekable();
        while let Some(entry) = order.next() {
            let neighbour = order.peek().filter(|next| next.offset < directory);
            let room = Room {
                end: neighbour.map_or(directory, |next| next.offset),
                neighbour: neighbour.map(|next| next.shown.clone()),
                directory,
            };
            self.uncovered(covered, entry.offset.min(directory));
            let end = self.local(entry, &room)?;
            covered = covered.max(end);
        }
        self.uncovered(covered, directory);
        Ok(())
    }

    fn uncovered(&mut self, from: u64, to: u64) {
        if from < to {
            self.problem(Problem::Uncovered {
                offset: from,
                bytes: to - from,
            });
        }
    }

    /// Checks one local header, and says where the entry ends.
    fn local(&mut self, entry: &mut Scanned<N>, room: &Room) -> io::Result<u64> {
        let fixed_end = entry.offset.saturating_add(LOCAL_SIZE);
        if fixed_end > room.end {
            return Ok(self.crowded(entry, entry.offset, LOCAL_SIZE, room));
        }
        let Some(local) = local_header(&self.read(entry.offset..fixed_end)?) else {
            self.no_local_header(entry);
            return Ok(entry.offset);
        };
        let name_end = fixed_end + u64::from(local.name_length);
        let data_start = name_end + u64::from(local.extra_length);
        if data_start > room.end {
            return Ok(self.crowded(entry, entry.offset, data_start - entry.offset, room));
        }
        let variable = self.read(fixed_end..data_start)?;
        let (name, extra) = variable.split_at(local.name_length.into());
        self.compare_headers(entry, &local, name, extra);
        entry.local = Some((local, extra.to_vec()));
        let Some(data_end) = data_start
            .checked_add(entry.compressed)
            .filter(|end| *end <= room.end)
        else {
            return Ok(self.crowded(entry, data_start, entry.compressed, room));
        };
        entry.data = Some(data_start..data_end);
        self.descriptor(entry, data_end, room)
    }

    fn no_local_header(&mut self, entry: &Scanned<N>) {
        self.problem(Problem::NoLocalHeader {
            entry: entry.shown.clone(),
            offset: entry.offset,
        });
    }

    /// Says that there is no room for the `wanted` bytes of an entry from `start` on, and where its room ends.
    fn crowded(&mut self, entry: &Scanned<N>, start: u64, wanted: u64, room: &Room) -> u64 {
        let end = start.saturating_add(wanted);
        match &room.neighbour {
            _ if start >= room.directory => self.no_local_header(entry),
            Some(neighbour) if end <= room.directory => self.problem(Problem::Overlap {
                first: entry.shown.clone(),
                second: neighbour.clone(),
                offset: room.end,
            }),
            _ => self.problem(Problem::BeyondEnd {
                entry: entry.shown.clone(),
                expected: wanted,
                found: room.directory - start,
            }),
        }
        room.end
    }

    /// Checks the data descriptor, where there is one, and says where it ends.
    fn descriptor(&mut self, entry: &Scanned<N>, at: u64, room: &Room) -> io::Result<u64> {
        if entry.central.flags & HAS_DESCRIPTOR == 0 {
            return Ok(at);
        }
        // 12 to 24 bytes: with or without a signature, sizes in 32 or 64 bits (4.3.9).
        let bytes = self.read(at..room.end.min(at.saturating_add(24)))?;
        match descriptor_length(&bytes, entry) {
            Some(length) => Ok(at + length),
            None => {
                self.problem(Problem::Descriptor {
                    entry: entry.shown.clone(),
                    offset: at,
                });
                Ok(at)
            }
        }
    }

    /// Compares what both headers of an entry say.
    fn compare_headers(&mut self, entry: &Scanned<N>, local: &Common, name: &[u8], extra: &[u8]) {
        let central = &entry.central;
        let mut wide = Wide {
            size: local.size.into(),
            compressed: local.compressed.into(),
            offset: 0,
        };
        let record = Record::LocalHeader;
        let zip64 = self.extra(extra, name, &entry.shown, record);
        // Both sizes are there if one overflows (4.5.3).
        let overflows = local.size == IN_ZIP64_32 || local.compressed == IN_ZIP64_32;
        let fields = if overflows {
            vec![&mut wide.size, &mut wide.compressed]
        } else {
            vec![]
        };
        let count = fields.len();
        // Whoever streamed the entry did not know these yet (4.4.4, bit 3).
        let streamed = local.flags & HAS_DESCRIPTOR != 0;
        let as_miniz =
            streamed && !overflows && zip64.is_some_and(|field| is_zip64_of_miniz(field, entry));
        if !as_miniz && !take_zip64(zip64, fields, None) {
            self.zip64_problem(&entry.shown, record, count);
        }
        let number = |expected: u64, found: u64| {
            (expected != found).then(|| (expected.to_string(), found.to_string()))
        };
        let late =
            |expected: u64, found: u64| number(expected, found).filter(|_| !streamed || found != 0);
        let hex = |expected: u32, found: u32| {
            (expected != found).then(|| (format!("{expected:#x}"), format!("{found:#x}")))
        };
        let name = (entry.raw_name != name).then(|| (entry.shown.clone(), show_name(name)));
        let crc = hex(central.crc32, local.crc32).filter(|_| !streamed || local.crc32 != 0);
        let fields = [
            ("name", name),
            ("flags", hex(central.flags.into(), local.flags.into())),
            ("method", number(central.method.into(), local.method.into())),
            ("time", hex(central.time.into(), local.time.into())),
            ("date", hex(central.date.into(), local.date.into())),
            ("CRC-32", crc),
            ("compressed size", late(entry.compressed, wide.compressed)),
            ("size", late(entry.size, wide.size)),
        ];
        for (field, difference) in fields {
            if let Some((expected, found)) = difference {
                self.problem(Problem::HeadersDisagree {
                    entry: entry.shown.clone(),
                    field,
                    expected,
                    found,
                });
            }
        }
    }
}

/// Whether the ZIP64 field of a local header, of which the sizes are zero, is as miniz writes it, if any of the values
/// overflows: with the size, the compressed size (zero, where it is not known yet), and the offset, whichever do
/// (`mz_zip_writer_add_mem_ex_v2`). PyTorch writes checkpoints of more than 4 GiB so.
fn is_zip64_of_miniz<N>(zip64: &[u8], entry: &Scanned<N>) -> bool {
    let overflows = |value: u64| value >= u64::from(IN_ZIP64_32);
    let offset = overflows(entry.offset).then_some(entry.offset);
    [0, entry.compressed].into_iter().any(|compressed| {
        let sizes = overflows(entry.size).then_some([entry.size, compressed]);
        let values = sizes.into_iter().flatten().chain(offset);
        let bytes: Vec<u8> = values.flat_map(u64::to_le_bytes).collect();
        !bytes.is_empty() && bytes == zip64
    })
}

/// The bytes that an entry may take: up to its neighbour, or to the central directory.
struct Room {
    end: u64,
    neighbour: Option<String>,
    directory: u64,
}

/// The length of the data descriptor that `room` begins with, if it says what the central directory does.
/// The longest that fits is taken: where a shorter one fits as well, bytes would remain that nobody owns.
fn descriptor_length<N>(room: &[u8], entry: &Scanned<N>) -> Option<u64> {
    let crc = entry.central.crc32.to_le_bytes();
    let wide = [entry.compressed.to_le_bytes(), entry.size.to_le_bytes()].concat();
    let narrow = match (u32::try_from(entry.compressed), u32::try_from(entry.size)) {
        (Ok(compressed), Ok(size)) => Some([compressed.to_le_bytes(), size.to_le_bytes()].concat()),
        _ => None,
    };
    let signature = DESCRIPTOR.to_le_bytes();
    [Some(wide), narrow]
        .iter()
        .flatten()
        .flat_map(|sizes| [&signature[..], &[]].map(|signature| [signature, &crc, sizes].concat()))
        .find(|form| room.starts_with(form))
        .map(|form| form.len() as u64)
}
