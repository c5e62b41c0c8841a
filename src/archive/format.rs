//! The records of a ZIP as bytes: signatures, fields, and the cursor that takes them apart.

/// Opens a local file header (4.3.7).
pub const LOCAL: u32 = 0x0403_4b50;
/// Opens a central directory header (4.3.12).
pub const CENTRAL: u32 = 0x0201_4b50;
/// Opens the end of central directory record (4.3.16).
pub const END: u32 = 0x0605_4b50;
/// Opens the ZIP64 end of central directory record (4.3.14).
pub const END64: u32 = 0x0606_4b50;
/// Opens the ZIP64 end of central directory locator (4.3.15).
pub const LOCATOR64: u32 = 0x0706_4b50;
/// Opens a data descriptor, where its writer chose to (4.3.9.3).
pub const DESCRIPTOR: u32 = 0x0807_4b50;

/// Bytes of a local header before name and extra field.
pub const LOCAL_SIZE: u64 = 30;
/// Bytes of an end record before its comment.
pub const END_SIZE: u64 = 22;
/// Bytes of a ZIP64 end record without extensible data.
pub const END64_SIZE: u64 = 56;
/// Bytes of a ZIP64 locator.
pub const LOCATOR64_SIZE: u64 = 20;

/// Data is stored as it is (4.4.5).
pub const STORED: u16 = 0;
/// Data is deflated (4.4.5).
pub const DEFLATED: u16 = 8;

/// Flag: sizes and CRC follow the data, in a descriptor (4.4.4, bit 3).
pub const HAS_DESCRIPTOR: u16 = 1 << 3;
/// Flag: the name is UTF-8 (4.4.4, bit 11).
pub const UTF8: u16 = 1 << 11;

/// The extra field that holds what 32 bits cannot (4.5.3).
pub const ZIP64_FIELD: u16 = 0x0001;

/// What a 16-bit field holds if ZIP64 holds the value (4.4.1.4).
pub const IN_ZIP64_16: u16 = 0xffff;
/// What a 32-bit field holds if ZIP64 holds the value (4.4.1.4).
pub const IN_ZIP64_32: u32 = 0xffff_ffff;

/// Takes little-endian fields off the front of some bytes; `None` where they end too early.
#[derive(Clone, Copy)]
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// The fields that a local and a central header share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Common {
    pub version_needed: u16,
    pub flags: u16,
    pub method: u16,
    pub time: u16,
    pub date: u16,
    pub crc32: u32,
    pub compressed: u32,
    pub size: u32,
    pub name_length: u16,
    pub extra_length: u16,
}

impl Common {
    fn take(from: &mut Cursor<'_>) -> Option<Self> {
        Some(Self {
            version_needed: from.u16()?,
            flags: from.u16()?,
            method: from.u16()?,
            time: from.u16()?,
            date: from.u16()?,
            crc32: from.u32()?,
            compressed: from.u32()?,
            size: from.u32()?,
            name_length: from.u16()?,
            extra_length: from.u16()?,
        })
    }
}

/// The fixed part of a local header (4.3.7); `None` if the signature is another.
pub fn local_header(bytes: &[u8]) -> Option<Common> {
    let mut from = Cursor(bytes);
    (from.u32()? == LOCAL).then_some(())?;
    Common::take(&mut from)
}

/// A central header (4.3.12).
#[derive(Clone, Copy, Debug)]
pub struct Central<'a> {
    pub made_by: u16,
    pub common: Common,
    pub disk: u16,
    pub internal: u16,
    pub external: u32,
    pub offset: u32,
    pub name: &'a [u8],
    pub extra: &'a [u8],
    pub comment: &'a [u8],
}

impl<'a> Central<'a> {
    /// Takes one header off the front; `None` if there is none whole.
    pub fn take(from: &mut Cursor<'a>) -> Option<Self> {
        (from.u32()? == CENTRAL).then_some(())?;
        let made_by = from.u16()?;
        let common = Common::take(from)?;
        let comment_length = from.u16()?;
        Some(Self {
            made_by,
            common,
            disk: from.u16()?,
            internal: from.u16()?,
            external: from.u32()?,
            offset: from.u32()?,
            name: from.bytes(common.name_length.into())?,
            extra: from.bytes(common.extra_length.into())?,
            comment: from.bytes(comment_length.into())?,
        })
    }
}

/// An end record (4.3.16), without its comment.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub disk: u16,
    pub directory_disk: u16,
    pub entries_here: u16,
    pub entries: u16,
    pub directory_size: u32,
    pub directory_offset: u32,
    pub comment_length: u16,
}

impl End {
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut from = Cursor(bytes);
        (from.u32()? == END).then_some(())?;
        Some(Self {
            disk: from.u16()?,
            directory_disk: from.u16()?,
            entries_here: from.u16()?,
            entries: from.u16()?,
            directory_size: from.u32()?,
            directory_offset: from.u32()?,
            comment_length: from.u16()?,
        })
    }
}

/// A ZIP64 end record (4.3.14).
#[derive(Clone, Copy, Debug)]
pub struct End64 {
    /// The size of the rest of the record.
    pub record_size: u64,
    pub disk: u32,
    pub directory_disk: u32,
    pub entries_here: u64,
    pub entries: u64,
    pub directory_size: u64,
    pub directory_offset: u64,
}

impl End64 {
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut from = Cursor(bytes);
        (from.u32()? == END64).then_some(())?;
        let record_size = from.u64()?;
        let _versions = from.u32()?;
        Some(Self {
            record_size,
            disk: from.u32()?,
            directory_disk: from.u32()?,
            entries_here: from.u64()?,
            entries: from.u64()?,
            directory_size: from.u64()?,
            directory_offset: from.u64()?,
        })
    }
}

/// A ZIP64 locator (4.3.15).
#[derive(Clone, Copy, Debug)]
pub struct Locator64 {
    pub disk: u32,
    pub offset: u64,
    pub disks: u32,
}

impl Locator64 {
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut from = Cursor(bytes);
        (from.u32()? == LOCATOR64).then_some(())?;
        Some(Self {
            disk: from.u32()?,
            offset: from.u64()?,
            disks: from.u32()?,
        })
    }
}

/// The extra fields of a header, as identifier and data (4.5.1); `None` if their lengths do not add up.
pub fn extra_fields(bytes: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut from = Cursor(bytes);
    let mut fields = Vec::new();
    while !from.0.is_empty() {
        let id = from.u16()?;
        let length = from.u16()?;
        fields.push((id, from.bytes(length.into())?));
    }
    Some(fields)
}
