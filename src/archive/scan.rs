//! Walks an archive's end records, central directory and local headers, and notes everything that two
//! readers could see differently. It believes no number before it has checked it against the file's size.

use std::fs::File;
use std::io;
use std::ops::Range;

use super::BundlePath;
use super::format::{
    CENTRAL, Central, Common, Cursor, DEFLATED, DESCRIPTOR, END, END_SIZE, END64_SIZE, End, End64,
    HAS_DESCRIPTOR, IN_ZIP64_16, IN_ZIP64_32, LOCAL_SIZE, LOCATOR64_SIZE, Locator64, STORED, UTF8,
    ZIP64_FIELD, extra_fields, local_header,
};
use super::path::{NameFault, collisions};
use super::problem::{Problem, Problems, Record, show_name};
use crate::digest::read_exact_at;

/// The largest central directory that is read into memory: some 300,000 entries.
const LARGEST_DIRECTORY: u64 = 32 << 20;

/// Deflate's best: 258 bytes for 2 bits, 1032 for each byte (RFC 1951; zlib's "Maximum Compression Factor").
const BEST_RATIO: u64 = 1032;

/// The flags that change nothing here: how hard the encoder tried (bits 1 and 2), descriptor, UTF-8.
const KNOWN_FLAGS: u16 = 0b110 | HAS_DESCRIPTOR | UTF8;
/// The flags of encryption (4.4.4): bit 0, strong encryption (6) and masked headers (13).
const ENCRYPTION_FLAGS: u16 = 1 | 1 << 6 | 1 << 13;

/// What a walk found.
pub struct Scan {
    pub entries: Vec<Scanned>,
    pub problems: Vec<Problem>,
    /// Whether there was a central directory to take the entries from.
    pub has_directory: bool,
    /// Whether there is a ZIP64 end record.
    pub has_zip64: bool,
    pub comment: Vec<u8>,
    pub size: u64,
}

/// An entry as the central directory has it, in the directory's order.
#[derive(Clone, Debug)]
pub struct Scanned {
    /// The name, if it is a good one.
    pub path: Option<BundlePath>,
    pub raw_name: Vec<u8>,
    /// The name for messages.
    pub shown: String,
    pub is_directory: bool,
    pub made_by: u16,
    pub internal: u16,
    pub external: u32,
    pub central: Common,
    pub central_extra: Vec<u8>,
    pub comment_length: usize,
    pub compressed: u64,
    pub size: u64,
    /// Where the local header is said to be.
    pub offset: u64,
    /// The local header with its extra field, if there is one.
    pub local: Option<(Common, Vec<u8>)>,
    /// Where the data is, if the local header is there and the data lies within the file.
    pub data: Option<Range<u64>>,
}

/// Walks the archive in `file`.
///
/// # Errors
/// Fails only if the file cannot be read; whatever is in it is a matter of [`Scan::problems`].
pub fn scan(file: &File) -> io::Result<Scan> {
    let size = file.metadata()?.len();
    let mut walk = Walk {
        file,
        size,
        problems: Problems::default(),
    };
    let mut entries = Vec::new();
    let mut comment = Vec::new();
    let mut has_directory = false;
    let mut has_zip64 = false;
    if let Some(end) = walk.find_end()? {
        if let Some(directory) = walk.directory(&end)? {
            has_directory = true;
            entries = walk.entries(&directory, &end);
            walk.names(&entries);
            walk.locals(&mut entries, directory.offset)?;
        }
        has_zip64 = end.has_zip64;
        comment = end.comment;
    }
    Ok(Scan {
        entries,
        problems: walk.problems.into_vec(),
        has_directory,
        has_zip64,
        comment,
        size,
    })
}

struct Walk<'a> {
    file: &'a File,
    size: u64,
    problems: Problems,
}

/// The end records, with ZIP64's values in place of what overflowed.
struct EndOfDirectory {
    /// Where the end records begin, and the directory should end.
    position: u64,
    entries: u64,
    directory_size: u64,
    directory_offset: u64,
    has_zip64: bool,
    comment: Vec<u8>,
}

/// The central directory's bytes and place.
struct Directory {
    offset: u64,
    bytes: Vec<u8>,
}

impl Walk<'_> {
    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        read_exact_at(self.file, &mut bytes, range.start)?;
        Ok(bytes)
    }

    /// Finds the last end record, and whether another one could be taken for it (4.3.16).
    fn find_end(&mut self) -> io::Result<Option<EndOfDirectory>> {
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
            Some((at, end, comment.to_vec()))
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
        self.end_of_directory(position, &end, comment).map(Some)
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
    fn directory(&mut self, end: &EndOfDirectory) -> io::Result<Option<Directory>> {
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

    /// Takes the central directory apart.
    fn entries(&mut self, directory: &Directory, end: &EndOfDirectory) -> Vec<Scanned> {
        let mut from = Cursor(&directory.bytes);
        let mut entries = Vec::new();
        while !from.0.is_empty() {
            let at = directory.offset + (directory.bytes.len() - from.0.len()) as u64;
            let Some(header) = Central::take(&mut from) else {
                self.problem(Problem::DirectoryDamaged {
                    offset: at,
                    entries: entries.len() as u64,
                });
                break;
            };
            entries.push(self.entry(&header));
        }
        if entries.len() as u64 != end.entries {
            self.problem(Problem::EntryCount {
                expected: end.entries,
                found: entries.len() as u64,
            });
        }
        entries
    }

    /// Checks what a central header says by itself.
    fn entry(&mut self, header: &Central<'_>) -> Scanned {
        let shown = show_name(header.name);
        let common = header.common;
        let is_directory = header.name.ends_with(b"/");
        let path = self.name(header.name, common.flags, &shown);
        let mut wide = Wide {
            size: common.size.into(),
            compressed: common.compressed.into(),
            offset: header.offset.into(),
        };
        self.central_extra(header, &mut wide, &shown);
        self.flags(&common, &shown);
        self.mode(header, is_directory, &shown);
        self.sizes(&common, &wide, is_directory, &shown);
        Scanned {
            path,
            raw_name: header.name.to_vec(),
            shown,
            is_directory,
            made_by: header.made_by,
            internal: header.internal,
            external: header.external,
            central: common,
            central_extra: header.extra.to_vec(),
            comment_length: header.comment.len(),
            compressed: wide.compressed,
            size: wide.size,
            offset: wide.offset,
            local: None,
            data: None,
        }
    }

    fn name(&mut self, name: &[u8], flags: u16, shown: &str) -> Option<BundlePath> {
        let checked = match std::str::from_utf8(name) {
            Err(_) if flags & UTF8 != 0 => Err(NameFault::NotUtf8),
            _ if flags & UTF8 == 0 && !name.is_ascii() => Err(NameFault::Unmarked),
            Err(_) => Err(NameFault::NotUtf8),
            Ok(text) => {
                let file = text.strip_suffix('/').unwrap_or(text);
                BundlePath::new(file).map_err(|bad| bad.reason)
            }
        };
        checked
            .map_err(|reason| {
                self.problem(Problem::Name {
                    entry: shown.to_owned(),
                    reason,
                });
            })
            .ok()
    }

    fn flags(&mut self, common: &Common, shown: &str) {
        let entry = || shown.to_owned();
        if common.flags & ENCRYPTION_FLAGS != 0 {
            self.problem(Problem::Encrypted { entry: entry() });
        } else if common.flags & !KNOWN_FLAGS != 0 {
            self.problem(Problem::Flags {
                entry: entry(),
                flags: common.flags,
            });
        }
        if !matches!(common.method, STORED | DEFLATED) {
            self.problem(Problem::Method {
                entry: entry(),
                method: common.method,
            });
        }
    }

    /// Refuses everything but regular files and folders. The upper half of the attributes is Unix's mode
    /// whoever made the archive (Python writes it on Windows too), the lowest byte is MS-DOS's (4.4.15).
    fn mode(&mut self, header: &Central<'_>, is_directory: bool, shown: &str) {
        let mode = header.external >> 16;
        let dos = header.external & 0xff;
        let what = match mode & 0o170_000 {
            // A folder that hands its group on, or a sticky one, is an ordinary shared folder.
            0o040_000 if is_directory && mode & 0o4000 == 0 => return,
            _ if mode & 0o7000 != 0 => "setuid, setgid or sticky",
            0 if !is_directory && dos & 0x10 != 0 => "a folder named like a file",
            0 if dos & 0x08 != 0 => "a volume label",
            0 => return,
            0o100_000 if !is_directory => return,
            0o100_000 => "a file named like a folder",
            0o040_000 => "a folder named like a file",
            0o120_000 => "a symbolic link",
            0o060_000 => "a block device",
            0o020_000 => "a character device",
            0o010_000 => "a named pipe",
            0o140_000 => "a socket",
            _ => "of a type that is unknown",
        };
        self.problem(Problem::Mode {
            entry: shown.to_owned(),
            mode,
            what,
        });
    }

    fn sizes(&mut self, common: &Common, wide: &Wide, is_directory: bool, shown: &str) {
        if is_directory && wide.size != 0 {
            self.problem(Problem::FolderWithData {
                entry: shown.to_owned(),
                size: wide.size,
            });
        }
        let possible = match common.method {
            STORED => wide.compressed == wide.size,
            DEFLATED => wide.size <= wide.compressed.saturating_mul(BEST_RATIO),
            _ => true,
        };
        if !possible {
            self.problem(Problem::ImpossibleSize {
                entry: shown.to_owned(),
                compressed: wide.compressed,
                size: wide.size,
            });
        }
    }

    fn central_extra(&mut self, header: &Central<'_>, wide: &mut Wide, shown: &str) {
        let record = Record::CentralHeader;
        let zip64 = self.extra(header.extra, header.name, shown, record);
        let common = header.common;
        let mut fields = Vec::new();
        if common.size == IN_ZIP64_32 {
            fields.push(&mut wide.size);
        }
        if common.compressed == IN_ZIP64_32 {
            fields.push(&mut wide.compressed);
        }
        if header.offset == IN_ZIP64_32 {
            fields.push(&mut wide.offset);
        }
        let mut disk = u64::from(header.disk);
        let count = fields.len();
        if !take_zip64(
            zip64,
            fields,
            (header.disk == IN_ZIP64_16).then_some(&mut disk),
        ) {
            self.zip64_problem(shown, record, count);
        }
        if disk != 0 {
            self.problem(Problem::SeveralDisks);
        }
    }

    fn zip64_problem(&mut self, shown: &str, record: Record, expected: usize) {
        self.problem(Problem::ExtraField {
            entry: shown.to_owned(),
            record,
            id: ZIP64_FIELD,
            reason: match expected {
                0 => "(ZIP64) stands where no field overflows",
                _ => "(ZIP64) does not hold exactly the fields that overflow",
            },
        });
    }

    /// Checks extra fields, and returns ZIP64's.
    fn extra<'b>(
        &mut self,
        extra: &'b [u8],
        name: &[u8],
        shown: &str,
        record: Record,
    ) -> Option<&'b [u8]> {
        let Some(fields) = extra_fields(extra) else {
            self.problem(Problem::ExtraLength {
                entry: shown.to_owned(),
                record,
            });
            return None;
        };
        let mut zip64 = None;
        for (id, data) in fields {
            let reason = match id {
                ZIP64_FIELD if zip64.is_some() => "(ZIP64) stands there twice",
                ZIP64_FIELD => {
                    zip64 = Some(data);
                    continue;
                }
                // Version, CRC-32 of the name it replaces, name (4.6.9).
                0x7075 if data.get(5..) != Some(name) => "gives the entry another name",
                // ZipIt's long names for the Macintosh (Info-ZIP, extrafld.txt).
                0x2605 | 0x2705 | 0x2805 => "gives the entry another name",
                // Twelve bytes of times and owners; what follows is a link's target or a device (4.5.7).
                0x000d if data.len() > 12 => "makes the entry a link or a device",
                // ASi's Unix field: a mode and a link's target (Info-ZIP, extrafld.txt).
                0x756e => "gives the entry another mode or makes it a link",
                0x0017 | 0x9901 => "says that the entry is encrypted",
                _ => continue,
            };
            self.problem(Problem::ExtraField {
                entry: shown.to_owned(),
                record,
                id,
                reason,
            });
        }
        zip64
    }

    fn names(&mut self, entries: &[Scanned]) {
        let names: Vec<String> = entries
            .iter()
            .filter_map(|entry| {
                let slash = if entry.is_directory { "/" } else { "" };
                Some(format!("{}{slash}", entry.path.as_ref()?))
            })
            .collect();
        for collision in collisions(names.iter().map(String::as_str)) {
            self.problem(Problem::Names(collision));
        }
    }

    /// Walks the file from its beginning to the central directory: local header, data, descriptor, and so
    /// on, without gap or overlap. Each entry is read only as far as its neighbour, so the walk reads no
    /// byte twice, and who overlaps any entry overlaps its neighbour.
    fn locals(&mut self, entries: &mut [Scanned], directory: u64) -> io::Result<()> {
        let mut order: Vec<&mut Scanned> = entries.iter_mut().collect();
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
    fn local(&mut self, entry: &mut Scanned, room: &Room) -> io::Result<u64> {
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

    fn no_local_header(&mut self, entry: &Scanned) {
        self.problem(Problem::NoLocalHeader {
            entry: entry.shown.clone(),
            offset: entry.offset,
        });
    }

    /// Says that there is no room for the `wanted` bytes of an entry from `start` on, and where its room ends.
    fn crowded(&mut self, entry: &Scanned, start: u64, wanted: u64, room: &Room) -> u64 {
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
    fn descriptor(&mut self, entry: &Scanned, at: u64, room: &Room) -> io::Result<u64> {
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
    fn compare_headers(&mut self, entry: &Scanned, local: &Common, name: &[u8], extra: &[u8]) {
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
        if !take_zip64(zip64, fields, None) {
            self.zip64_problem(&entry.shown, record, count);
        }
        // Whoever streamed the entry did not know these yet (4.4.4, bit 3).
        let streamed = local.flags & HAS_DESCRIPTOR != 0;
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

/// The bytes that an entry may take: up to its neighbour, or to the central directory.
struct Room {
    end: u64,
    neighbour: Option<String>,
    directory: u64,
}

/// Values that may be ZIP64's.
struct Wide {
    size: u64,
    compressed: u64,
    offset: u64,
}

/// Fills `fields`, and the 32-bit `disk`, from a ZIP64 extra field, which must hold them and nothing else.
fn take_zip64(zip64: Option<&[u8]>, fields: Vec<&mut u64>, disk: Option<&mut u64>) -> bool {
    let Some(data) = zip64 else {
        return fields.is_empty() && disk.is_none();
    };
    if fields.is_empty() && disk.is_none() {
        return false;
    }
    let mut from = Cursor(data);
    for field in fields {
        match from.u64() {
            Some(value) => *field = value,
            None => return false,
        }
    }
    if let Some(disk) = disk {
        match from.u32() {
            Some(value) => *disk = value.into(),
            None => return false,
        }
    }
    from.0.is_empty()
}

/// The length of the data descriptor that `room` begins with, if it says what the central directory does.
/// The longest that fits is taken: where a shorter one fits as well, bytes would remain that nobody owns.
fn descriptor_length(room: &[u8], entry: &Scanned) -> Option<u64> {
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
