//! The end of an archive: which end record counts, and where the central directory is.

use std::io;

use super::Walk;
use crate::archive::format::{
    CENTRAL, END, END_SIZE, END64_SIZE, End, End64, IN_ZIP64_16, IN_ZIP64_32, LOCATOR64_SIZE,
    Locator64,
};
use crate::archive::path::EntryName;
use crate::archive::problem::Problem;

/// The largest central directory that is read into memory: some 300,000 entries.
const LARGEST_DIRECTORY: u64 = 32 << 20;

/// The end records, with ZIP64's values in place of what overflowed.
pub struct EndOfDirectory {
    /// Where the end records begin, and the directory should end.
    pub position: u64,
    pub entries: u64,
    pub directory_size: u64,
    pub directory_offset: u64,
    pub has_zip64: bool,
    pub comment: Vec<u8>,
}

/// The central directory's bytes and place.
pub struct Directory {
    pub offset: u64,
    pub bytes: Vec<u8>,
}

impl<N: EntryName> Walk<'_, N> {
    /// Finds the last end record, and whether another one could be taken for it (4.3.16).
    pub(super) fn find_end(&mut self) -> io::Result<Option<EndOfDirectory>> {
        let start = self.size.saturating_sub(END_SIZE + u64::from(u16::MAX));
        let tail = self.read(start..self.size)?;
        let signatures: Vec<usize> = tail
            .windows(4)
            .enumerate()
            .filter_map(|(at, window)| (window == END.to_le_bytes()).then_some(at))
            .collect();
        // A record that fits, with its comment.
        let whole = |at: usize| {
            let end = End::parse(tail.get(at..)?)?;
            let comment = at + END_SIZE as usize..;
            let comment = tail.get(comment)?.get(..end.comment_length.into())?;
            Some((at, end, comment))
        };
        let Some((at, end, comment)) = signatures.iter().rev().find_map(|at| whole(*at)) else {
            self.problem(Problem::NoEndRecord);
            return Ok(None);
        };
        let position = start + at as u64;
        let end_of_record = at + END_SIZE as usize + comment.len();
        if end_of_record < tail.len() {
            self.problem(Problem::TrailingBytes {
                offset: start + end_of_record as u64,
                bytes: (tail.len() - end_of_record) as u64,
            });
        }
        // Some readers search for a record whose comment ends with the file, some take the last signature.
        let reaches_the_end = |at: usize| {
            whole(at).is_some_and(|(at, _, comment)| {
                at + END_SIZE as usize + comment.len() == tail.len()
            })
        };
        let rival = signatures
            .iter()
            .find(|other| **other > at || (**other < at && reaches_the_end(**other)));
        if let Some(rival) = rival {
            self.problem(Problem::SeveralEndRecords {
                first: position.min(start + *rival as u64),
                second: position.max(start + *rival as u64),
            });
        }
        self.end_of_directory(position, &end, comment.to_vec())
            .map(Some)
    }

    /// Puts ZIP64's values, where there are any, in the place of those that overflowed (4.4.1.4).
    fn end_of_directory(
        &mut self,
        position: u64,
        end: &End,
        comment: Vec<u8>,
    ) -> io::Result<EndOfDirectory> {
        let mut found = EndOfDirectory {
            position,
            entries: end.entries.into(),
            directory_size: end.directory_size.into(),
            directory_offset: end.directory_offset.into(),
            has_zip64: false,
            comment,
        };
        let one_disk = |disk: u16| disk == 0 || disk == IN_ZIP64_16;
        if !one_disk(end.disk) || !one_disk(end.directory_disk) {
            self.problem(Problem::SeveralDisks);
        }
        if end.entries != end.entries_here {
            self.problem(Problem::EndRecordsDisagree {
                field: "number of entries",
                expected: end.entries.into(),
                found: end.entries_here.into(),
            });
        }
        let Some((position, end64)) = self.end64(position)? else {
            return Ok(found);
        };
        let field16 = |value: u16| (value != IN_ZIP64_16).then_some(u64::from(value));
        let field32 = |value: u32| (value != IN_ZIP64_32).then_some(u64::from(value));
        let fields = [
            ("number of entries", field16(end.entries), end64.entries),
            ("number of entries", Some(end64.entries), end64.entries_here),
            (
                "size of the central directory",
                field32(end.directory_size),
                end64.directory_size,
            ),
            (
                "offset of the central directory",
                field32(end.directory_offset),
                end64.directory_offset,
            ),
        ];
        for (field, narrow, wide) in fields {
            if let Some(narrow) = narrow.filter(|narrow| *narrow != wide) {
                self.problem(Problem::EndRecordsDisagree {
                    field,
                    expected: narrow,
                    found: wide,
                });
            }
        }
        found.has_zip64 = true;
        found.position = position;
        found.entries = end64.entries;
        found.directory_size = end64.directory_size;
        found.directory_offset = end64.directory_offset;
        Ok(found)
    }

    /// The ZIP64 end record, if its locator stands before the end record (4.3.14, 4.3.15).
    fn end64(&mut self, end: u64) -> io::Result<Option<(u64, End64)>> {
        let Some(at) = end.checked_sub(LOCATOR64_SIZE) else {
            return Ok(None);
        };
        let Some(locator) = Locator64::parse(&self.read(at..end)?) else {
            return Ok(None);
        };
        if locator.disk != 0 || locator.disks > 1 {
            self.problem(Problem::SeveralDisks);
        }
        let Some(position) = at.checked_sub(END64_SIZE) else {
            self.problem(Problem::Zip64End {
                reason: "there is no room for it before its locator",
            });
            return Ok(None);
        };
        let Some(end64) = End64::parse(&self.read(position..at)?) else {
            self.problem(Problem::Zip64End {
                reason: "it does not stand right before its locator",
            });
            return Ok(None);
        };
        if locator.offset != position {
            self.problem(Problem::Zip64End {
                reason: "its locator points elsewhere",
            });
        }
        if end64.record_size != END64_SIZE - 12 {
            self.problem(Problem::Zip64End {
                reason: "it has another size than 56 bytes",
            });
        }
        if end64.disk != 0 || end64.directory_disk != 0 {
            self.problem(Problem::SeveralDisks);
        }
        Ok(Some((position, end64)))
    }

    /// Reads the central directory, which must end where the end records begin.
    pub(super) fn directory(&mut self, end: &EndOfDirectory) -> io::Result<Option<Directory>> {
        let claimed_end = end.directory_offset.checked_add(end.directory_size);
        if claimed_end != Some(end.position) {
            return self.misplaced_directory(end);
        }
        if end.directory_size > LARGEST_DIRECTORY {
            self.problem(Problem::DirectoryTooLarge {
                expected: LARGEST_DIRECTORY,
                found: end.directory_size,
            });
            return Ok(None);
        }
        Ok(Some(Directory {
            offset: end.directory_offset,
            bytes: self.read(end.directory_offset..end.position)?,
        }))
    }

    /// Says why the directory is not where it should be: something precedes the archive, or the numbers are wrong.
    fn misplaced_directory(&mut self, end: &EndOfDirectory) -> io::Result<Option<Directory>> {
        let start = end.position.checked_sub(end.directory_size);
        let shift = start.and_then(|start| start.checked_sub(end.directory_offset));
        if let (Some(start), Some(bytes)) = (start, shift)
            && end.position - start >= 4
            && self.read(start..start + 4)? == CENTRAL.to_le_bytes()
        {
            self.problem(Problem::LeadingBytes { bytes });
            return Ok(None);
        }
        self.problem(Problem::DirectoryMisplaced {
            expected: end.position,
            found: end.directory_offset.saturating_add(end.directory_size),
        });
        Ok(None)
    }
}
