//! What a central header says by itself: name, flags, method, mode, sizes, extra fields.

use super::{Scanned, Walk};
use crate::archive::format::{
    Central, Common, Cursor, DEFLATED, HAS_DESCRIPTOR, IN_ZIP64_16, IN_ZIP64_32, STORED, UTF8,
    ZIP64_FIELD, extra_fields,
};
use crate::archive::path::{EntryName, NameFault};
use crate::archive::problem::{Problem, Record, show_name};

/// Deflate's best: 258 bytes for 2 bits, 1032 for each byte (RFC 1951; zlib's "Maximum Compression Factor").
const BEST_RATIO: u64 = 1032;

/// The flags that change nothing here: how hard the encoder tried (bits 1 and 2), descriptor, UTF-8.
const KNOWN_FLAGS: u16 = 0b110 | HAS_DESCRIPTOR | UTF8;

/// The flags of encryption (4.4.4): bit 0, strong encryption (6) and masked headers (13).
const ENCRYPTION_FLAGS: u16 = 1 | 1 << 6 | 1 << 13;

impl<N: EntryName> Walk<'_, N> {
    /// Checks what a central header says by itself.
    pub(super) fn entry(&mut self, header: &Central<'_>) -> Scanned<N> {
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

    fn name(&mut self, name: &[u8], flags: u16, shown: &str) -> Option<N> {
        let checked = match std::str::from_utf8(name) {
            Err(_) if flags & UTF8 != 0 => Err(NameFault::NotUtf8),
            _ if flags & UTF8 == 0 && !name.is_ascii() => Err(NameFault::Unmarked),
            Err(_) => Err(NameFault::NotUtf8),
            Ok(text) => {
                let file = text.strip_suffix('/').unwrap_or(text);
                N::checked(file)
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

    pub(super) fn zip64_problem(&mut self, shown: &str, record: Record, expected: usize) {
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
    pub(super) fn extra<'b>(
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
}

/// Values that may be ZIP64's.
pub struct Wide {
    pub size: u64,
    pub compressed: u64,
    pub offset: u64,
}

/// Fills `fields`, and the 32-bit `disk`, from a ZIP64 extra field, which must hold them and nothing else.
pub fn take_zip64(zip64: Option<&[u8]>, fields: Vec<&mut u64>, disk: Option<&mut u64>) -> bool {
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
