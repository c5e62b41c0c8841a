//! The legacy layout: five pickles in a row, and then the storages.
//!
//! `_legacy_load`: a magic number, the protocol's version, what machine wrote the file, the object, the keys of its
//! storages in the order in which they follow, each as the number of its elements (8 bytes) and the elements. These are
//! little-endian whatever the machine was (`THPStorage_writeFileRaw` in `torch/csrc/serialization.cpp`).

use indexmap::IndexMap;

use super::content::{self, Declared, Storages};
use super::rebuild::{Fault, StorageId, key_of};
use super::{Checkpoint, Layout, audit_elements, audited, malformed};
use crate::blob::Blob;
use crate::digest::Crc32;
use crate::weights::WeightsError;
use crate::weights::audit::Audit;
use crate::weights::pickle::{self, NoHost, Node, Pickle};

/// `MAGIC_NUMBER`, 0x1950a86a20f9469cfc6c, as a pickle holds it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// `PROTOCOL_VERSION`
const VERSION: i64 = 1001;

/// Bytes that the pickle of the magic number has at most, in any protocol.
const MAGIC_PICKLE: usize = 64;

/// Whether a file that begins so has this layout.
pub fn begins(head: &[u8]) -> bool {
    let head = Blob::from(head.get(..MAGIC_PICKLE).unwrap_or(head).to_vec());
    pickle::read(&head, 0, &mut NoHost).is_ok_and(|pickle| is_magic(&pickle))
}

fn is_magic(pickle: &Pickle) -> bool {
    matches!(pickle.node(pickle.root), Node::BigInt(bytes) if **bytes == MAGIC)
}

/// Reads a checkpoint of this layout.
pub fn read(blob: &Blob) -> Result<Checkpoint, WeightsError> {
    let mut audit = Audit::default();
    let mut position = 0;
    let mut next = |audit: &mut Audit| {
        let pickle = audited(audit, None, blob, position)?;
        position = pickle.end;
        Ok::<Pickle, WeightsError>(pickle)
    };
    // Python would have unpickled each before it looks at it; so each is audited first.
    let magic = next(&mut audit)?;
    if !is_magic(&magic) {
        let message = "it does not begin with PyTorch's magic number";
        return Err(malformed(None, Some(0), message));
    }
    let version = next(&mut audit)?;
    if version.int(version.root) != Some(VERSION) {
        let message = format!("expected version {VERSION} of the layout");
        return Err(malformed(None, Some(version.start), message));
    }
    let _machine = next(&mut audit)?;
    let object = next(&mut audit)?;
    let keys = next(&mut audit)?;
    let at = |fault: Fault| malformed(None, Some(fault.offset), fault.message);
    let declared = content::declared(&object).map_err(at)?;
    let keys = keys_of(&keys).map_err(at)?;
    let storages = storages(blob, position, &keys, &declared)?;
    for (key, bytes) in &storages.0 {
        audit_elements(&mut audit, &member(key), bytes)?;
    }
    let mut checkpoint = Checkpoint::empty(Layout::Legacy, audit);
    content::decide(&mut checkpoint, &object, &storages).map_err(at)?;
    Ok(checkpoint)
}

/// What a storage is called in messages.
fn member(key: &str) -> String {
    format!("storage {key}")
}

fn keys_of(pickle: &Pickle) -> Result<Vec<String>, Fault> {
    let Some(keys) = pickle.sequence(pickle.root) else {
        return super::rebuild::fault(pickle, pickle.root, "expected the list of storages");
    };
    keys.iter().map(|key| key_of(pickle, *key)).collect()
}

/// The storages of this layout, by key, in the order of the file.
struct InFile(IndexMap<String, Blob>);

/// Takes the storages apart, which fill the file from `position` to its end.
fn storages(
    blob: &Blob,
    mut position: u64,
    keys: &[String],
    declared: &Declared,
) -> Result<InFile, WeightsError> {
    let mut found = IndexMap::new();
    for key in keys {
        let at = position;
        let wrong = |message: String| malformed(Some(&member(key)), Some(at), message);
        let Some((_, storage)) = declared.get(key) else {
            return Err(wrong("the file has it, but no tensor uses it".to_owned()));
        };
        let mut count = [0; 8];
        blob.read_exact_at(&mut count, position)
            .map_err(|_| wrong("the file ends before it".to_owned()))?;
        let count = u64::from_le_bytes(count);
        if count != storage.count {
            let expected = storage.count;
            return Err(wrong(format!(
                "expected {expected} elements, found {count}"
            )));
        }
        let start = position + 8;
        let bytes = storage
            .size()
            .and_then(|size| blob.slice(start..start.checked_add(size)?))
            .ok_or_else(|| wrong(format!("the file ends before its {count} elements do")))?;
        position = start + bytes.size();
        if found.insert(key.clone(), bytes).is_some() {
            return Err(wrong("it is there twice".to_owned()));
        }
    }
    if position != blob.size() {
        let message = format!("{} bytes follow the last storage", blob.size() - position);
        return Err(malformed(None, Some(position), message));
    }
    Ok(InFile(found))
}

impl Storages for InFile {
    fn find(&self, storage: &StorageId) -> Result<(String, Blob, Option<Crc32>), String> {
        match self.0.get(&storage.key) {
            Some(bytes) => Ok((member(&storage.key), bytes.clone(), None)),
            None => Err(format!("its storage `{}` is not in the file", storage.key)),
        }
    }

    fn big_endian(&self) -> bool {
        false
    }
}
