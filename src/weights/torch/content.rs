//! What a checkpoint's object is: a state dict, one in a dict of other things, a module, or something else.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::graph::{Entries, by_name, entries, instance, listed, what};
use super::rebuild::{
    Described, Elements, Fault, Result, StorageId, Value, fault, is_tensor, module_class, value,
};
use super::{Argument, Checkpoint, Content, Stored};
use crate::blob::Blob;
use crate::digest::Crc32;
use crate::weights::pickle::{Node, NodeId, Pickle};
use crate::weights::tensor::Tensor;

/// The keys under which training programs put a state dict, the first that is there counts: BasicSR writes `params` and
/// its moving average `params_ema`, of which it uses the latter; RF-DETR, DETR and timm write `model`, Lightning
/// `state_dict`.
const WRAPPERS: [&str; 14] = [
    "model",
    "state_dict",
    "model_state_dict",
    "params_ema",
    "params",
    "net",
    "network",
    "module",
    "weights",
    "ema",
    "model_ema",
    "ema_model",
    "state_dict_ema",
    "generator",
];

/// How often the bytes of storages may be parts of tensors. Tied weights make it two or three; the rest is a margin, and
/// keeps tensors that overlap themselves from being work without end.
const MOST_USES: u64 = 16;

/// What is free of that limit.
const FREE_BYTES: u64 = 64 << 20;

/// Where a layout keeps its storages.
pub trait Storages {
    /// The whole storage, its member's name, and what the file says its CRC is.
    ///
    /// # Errors
    /// Says in a sentence why the file does not have it.
    fn find(
        &self,
        storage: &StorageId,
    ) -> std::result::Result<(String, Blob, Option<Crc32>), String>;

    /// Whether its numbers have their highest byte first.
    fn big_endian(&self) -> bool;
}

/// Fills in what the checkpoint holds, from the pickle of its object.
///
/// # Errors
/// Fails where the pickle and the storages do not fit each other.
pub fn decide(into: &mut Checkpoint, pickle: &Pickle, storages: &dyn Storages) -> Result<()> {
    let declared = declared(pickle)?;
    into.content = match choose(pickle, &mut into.notes) {
        Choice::Tensors(id, wrapper) => {
            if wrapper.is_some() {
                into.arguments = arguments(pickle);
            }
            let notes = &mut into.notes;
            let mut reading = Reading::new(pickle, storages, notes);
            match reading.state_dict(id)? {
                Some(what) => Content::Other { what },
                None => {
                    let (tensors, stored) = (reading.tensors, reading.stored);
                    into.stored = stored;
                    Content::Tensors { wrapper, tensors }
                }
            }
        }
        Choice::Module(class) => Content::Module { class },
        Choice::Other(what) => Content::Other { what },
    };
    // PyTorch makes a storage of every persistent id, whatever becomes of it, and believes its size
    // (`get_storage_from_record`): tensors of one that is larger than its member read what lies behind that in memory.
    for (id, storage) in declared.values() {
        if let Err(message) = storages.find(storage) {
            return fault(pickle, *id, format!("a persistent id: {message}"));
        }
    }
    Ok(())
}

/// Storages by key, in the order of the pickle.
pub type Declared = IndexMap<String, (NodeId, StorageId)>;

/// All storages that a pickle names, by key, with the persistent id that is the first to name each. One that is declared in two ways would be what PyTorch met first.
///
/// # Errors
/// Fails if two persistent ids disagree on the same storage.
pub fn declared(pickle: &Pickle) -> Result<Declared> {
    let mut found = Declared::new();
    for (index, node) in pickle.nodes.iter().enumerate() {
        if !matches!(node, Node::Persistent(_)) {
            continue;
        }
        let id = NodeId(u32::try_from(index).unwrap_or(u32::MAX));
        let Some(storage) = StorageId::read(pickle, id)? else {
            continue;
        };
        let whole = StorageId {
            view: None,
            ..storage
        };
        match found.get(&whole.key) {
            Some((_, known)) if *known != whole => {
                let (a, b) = (describe(known), describe(&whole));
                return fault(
                    pickle,
                    id,
                    format!("the storage `{}` is declared as {a} and as {b}", whole.key),
                );
            }
            Some(_) => {}
            None => {
                found.insert(whole.key.clone(), (id, whole));
            }
        }
    }
    Ok(found)
}

fn describe(storage: &StorageId) -> String {
    let elements = match storage.elements {
        Elements::Typed(dtype) => dtype.name(),
        Elements::Bytes => "bytes",
        Elements::Other(name, _) => name,
    };
    format!("{} of {elements}", storage.count)
}

/// What the object is.
enum Choice {
    Tensors(NodeId, Option<String>),
    Module(crate::weights::pickle::GlobalName),
    Other(String),
}

/// Decides what the object is, by what is in it.
fn choose(pickle: &Pickle, notes: &mut Vec<String>) -> Choice {
    let root = pickle.root;
    let Some(names) = by_name(pickle, root) else {
        return match module_class(pickle, root) {
            Some(class) => Choice::Module(class),
            None if is_tensor(pickle, root) => Choice::Other("a single tensor".to_owned()),
            None => Choice::Other(what(pickle, root)),
        };
    };
    // Each dict is looked into once, however often the pickle names it.
    let mut known: HashMap<NodeId, bool> = HashMap::new();
    let mut lists = HashMap::new();
    let mut found: Vec<(&str, NodeId)> = Vec::new();
    for (name, id) in &names {
        let holds = known
            .entry(*id)
            .or_insert_with(|| holds_tensors(pickle, *id, &mut lists));
        if *holds {
            found.push((name, *id));
        }
    }
    let rank = |name: &str| WRAPPERS.iter().position(|wrapper| *wrapper == name);
    let best = found
        .iter()
        .filter_map(|(name, id)| Some((rank(name)?, *name, *id)))
        .min();
    let bare = names.values().any(|id| is_tensor(pickle, *id));
    let (name, id) = match (best, &found[..]) {
        (Some((_, name, id)), _) => (name, id),
        _ if bare => return Choice::Tensors(root, None),
        (None, [(name, id)]) => (*name, *id),
        (None, []) => return without_tensors(pickle, &names),
        (None, several) => {
            let several: Vec<String> = several
                .iter()
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            return Choice::Other(format!(
                "a dict with several sets of tensors ({})",
                several.join(", ")
            ));
        }
    };
    let others = found.iter().filter(|(other, _)| *other != name);
    for (other, _) in others {
        notes.push(format!(
            "the tensors of `{name}` are taken; those of `{other}` are not"
        ));
    }
    Choice::Tensors(id, Some(name.to_owned()))
}

/// What a dict is in which no state dict was found: some keep a whole module under one of the usual keys.
fn without_tensors(pickle: &Pickle, names: &IndexMap<&str, NodeId>) -> Choice {
    let module = WRAPPERS
        .iter()
        .find_map(|wrapper| module_class(pickle, *names.get(wrapper)?));
    match module {
        Some(class) => Choice::Module(class),
        None => Choice::Other("a dict without tensors".to_owned()),
    }
}

/// Whether the node is a dict of tensors, by name. `lists` keeps what is known of what dicts are made of: `None` if it
/// makes no dict.
fn holds_tensors(pickle: &Pickle, id: NodeId, lists: &mut HashMap<NodeId, Option<bool>>) -> bool {
    let any = |pairs: &[(NodeId, NodeId)]| {
        pairs
            .iter()
            .any(|(key, value)| pickle.str(*key).is_some() && is_tensor(pickle, *value))
    };
    let Some(Entries { given, own }) = entries(pickle, id) else {
        return false;
    };
    let given = given.map_or(Some(false), |given| {
        *lists
            .entry(given)
            .or_insert_with(|| listed(pickle, given).map(|pairs| any(&pairs)))
    });
    given.is_some_and(|given| given || any(own))
}

/// Reads the tensors of a state dict.
struct Reading<'a> {
    pickle: &'a Pickle,
    storages: &'a dyn Storages,
    notes: &'a mut Vec<String>,
    tensors: Vec<Tensor>,
    stored: Vec<Stored>,
    /// Which of `stored` has a key.
    by_key: HashMap<String, usize>,
    /// Bytes of all tensors, and of all storages.
    used: u64,
    held: u64,
}

impl<'a> Reading<'a> {
    fn new(pickle: &'a Pickle, storages: &'a dyn Storages, notes: &'a mut Vec<String>) -> Self {
        Self {
            pickle,
            storages,
            notes,
            tensors: Vec::new(),
            stored: Vec::new(),
            by_key: HashMap::new(),
            used: 0,
            held: 0,
        }
    }

    /// Reads all tensors, or says what the dict is instead.
    fn state_dict(&mut self, id: NodeId) -> Result<Option<String>> {
        let names = by_name(self.pickle, id).unwrap_or_default();
        for (name, id) in names {
            match value(self.pickle, id)? {
                Value::Tensor(described) => self.tensor(name, id, described)?,
                Value::Unsupported(what) => {
                    return Ok(Some(format!(
                        "a state dict with {what} (`{name}`), which this program does not read"
                    )));
                }
                Value::Other => {
                    let what = what(self.pickle, id);
                    self.notes
                        .push(format!("`{name}` is {what}, no tensor, and is passed over"));
                }
            }
        }
        if self.used
            > self
                .held
                .saturating_mul(MOST_USES)
                .saturating_add(FREE_BYTES)
        {
            return fault(
                self.pickle,
                id,
                format!(
                    "its tensors have {} bytes in storages of {}: they overlap too often",
                    self.used, self.held
                ),
            );
        }
        Ok(None)
    }

    fn tensor(&mut self, name: &str, id: NodeId, described: Described) -> Result<()> {
        let wrong = |message: String| Fault {
            offset: self.pickle.offset(id),
            message: format!("the tensor `{name}`: {message}"),
        };
        let index = match self.by_key.get(&described.storage.key) {
            Some(index) => *index,
            None => {
                let (member, bytes, crc32) =
                    self.storages.find(&described.storage).map_err(wrong)?;
                self.held = self.held.saturating_add(bytes.size());
                self.stored.push(Stored {
                    member,
                    bytes,
                    crc32,
                    tensors: Vec::new(),
                });
                let index = self.stored.len() - 1;
                self.by_key.insert(described.storage.key.clone(), index);
                index
            }
        };
        let Some(stored) = self.stored.get_mut(index) else {
            return Ok(());
        };
        let view = described.storage.view;
        let item = described.storage.elements.size();
        let storage = match view {
            None => Some(stored.bytes.clone()),
            Some((offset, count)) => part(&stored.bytes, offset, count, item),
        };
        let Some(storage) = storage else {
            return Err(wrong("its view reaches beyond its storage".to_owned()));
        };
        let tensor = Tensor {
            name: name.to_owned(),
            dtype: described.dtype,
            shape: described.shape,
            storage,
            offset: described.offset,
            strides: described.strides,
            big_endian: self.storages.big_endian(),
        };
        tensor.check().map_err(wrong)?;
        self.used = self.used.saturating_add(tensor.size());
        stored.tensors.push(self.tensors.len());
        self.tensors.push(tensor);
        Ok(())
    }
}

/// A part of a storage, in elements.
fn part(storage: &Blob, offset: u64, count: u64, item: u64) -> Option<Blob> {
    let start = offset.checked_mul(item)?;
    storage.slice(start..start.checked_add(count.checked_mul(item)?)?)
}

/// The plain values of `args` beside a state dict: an `argparse.Namespace`, or a dict.
fn arguments(pickle: &Pickle) -> Vec<(String, Argument)> {
    let args = by_name(pickle, pickle.root).and_then(|names| names.get("args").copied());
    let values = args.and_then(|args| match by_name(pickle, args) {
        Some(values) => Some(values),
        None => by_name(pickle, instance(pickle, args)?.1?),
    });
    let plain = |id: NodeId| match pickle.node(id) {
        Node::Int(number) => Some(Argument::Int(*number)),
        Node::Str(text) => Some(Argument::Text(text.to_string())),
        Node::List(items) => {
            let texts: Option<Vec<String>> = items
                .iter()
                .map(|item| pickle.str(*item).map(str::to_owned))
                .collect();
            texts.map(Argument::Texts)
        }
        _ => None,
    };
    let values = values.unwrap_or_default();
    values
        .into_iter()
        .filter_map(|(name, id)| Some((name.to_owned(), plain(id)?)))
        .collect()
}
