//! The pickle machine: a stack, marks, a memo, and a table of nodes instead of a program's objects.
//!
//! It is a loop over opcodes, never recursive; values hold ids of others, so that nesting costs nothing.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::error::{PickleError, PickleErrorKind, ceiling};
use super::node::{GlobalName, GlobalUse, Node, NodeId, Oddity, Pickle};
use super::{opcode, text};
use crate::blob::Blob;

/// The container that a pickle is in, where it has a word in what the stream means.
pub trait Host {
    /// Called after each `BUILD`, with the object that it completed and the place of the next opcode. `Some` says that
    /// the object stands for bytes that begin there: it is replaced on the stack by [`Node::Raw`] with this number, and
    /// the stream goes on at this place (joblib's `NumpyArrayWrapper`).
    ///
    /// # Errors
    /// Says what is wrong with those bytes.
    fn after_build(
        &mut self,
        nodes: &[Node],
        object: NodeId,
        blob: &Blob,
        position: u64,
    ) -> Result<Option<(usize, u64)>, String>;
}

/// No container, or one that leaves the stream alone.
pub struct NoHost;

impl Host for NoHost {
    fn after_build(
        &mut self,
        _: &[Node],
        _: NodeId,
        _: &Blob,
        _: u64,
    ) -> Result<Option<(usize, u64)>, String> {
        Ok(None)
    }
}

/// Interprets the pickle that begins at `start`, up to its `STOP`.
///
/// # Errors
/// Fails where CPython would, and at the ceilings; see [`PickleErrorKind::stops_python`].
pub fn read(blob: &Blob, start: u64, host: &mut dyn Host) -> Result<Pickle, PickleError> {
    interpret(Machine::new(Cursor::new(blob, start)), start, host)
}

/// The same for a reader that reads this one pickle and nothing behind it: it does not matter there whether the last frame
/// ends with `STOP`.
///
/// # Errors
/// As [`read`].
pub fn read_alone(blob: &Blob, start: u64) -> Result<Pickle, PickleError> {
    let mut machine = Machine::new(Cursor::new(blob, start));
    machine.is_alone = true;
    interpret(machine, start, &mut NoHost)
}

fn interpret(mut machine: Machine, start: u64, host: &mut dyn Host) -> Result<Pickle, PickleError> {
    match machine.run(host) {
        Ok(root) => Ok(Pickle {
            root,
            start,
            end: machine.cursor.position(),
            nodes: machine.nodes,
            globals: machine.globals,
            oddities: machine.oddities,
            made_at: machine.made_at,
            protocol: machine.protocol,
        }),
        Err(kind) => {
            let (offset, kind) = machine.misframed.take().unwrap_or((machine.offset, kind));
            Err(PickleError {
                offset,
                kind,
                globals: machine.globals,
            })
        }
    }
}

pub(super) type Result<T, E = PickleErrorKind> = std::result::Result<T, E>;

pub(super) struct Machine<'a> {
    pub cursor: Cursor<'a>,
    /// Where the opcode at work is, and its name.
    pub offset: u64,
    pub opcode: &'static str,
    pub nodes: Vec<Node>,
    made_at: Vec<u64>,
    stack: Vec<NodeId>,
    /// The height of the stack at each open mark; nothing below the last one can be taken.
    marks: Vec<usize>,
    memo: HashMap<u64, NodeId>,
    constants: Constants,
    pub globals: Vec<GlobalUse>,
    pub oddities: Vec<Oddity>,
    protocol: u8,
    /// Where the last frame ends.
    pub frame_end: u64,
    /// The first opcode at which readers go different ways because of a frame, and why. What one of them would name
    /// after it is still read, but whatever comes of that, this is the error.
    misframed: Option<(u64, PickleErrorKind)>,
    /// Whether nothing is read behind this pickle.
    is_alone: bool,
}

/// The nodes of values that cannot be told apart, and so are made once.
#[derive(Default)]
struct Constants {
    none: Option<NodeId>,
    truths: [Option<NodeId>; 2],
    empty_tuple: Option<NodeId>,
}

impl<'a> Machine<'a> {
    fn new(cursor: Cursor<'a>) -> Self {
        Self {
            offset: cursor.position(),
            cursor,
            opcode: "",
            nodes: Vec::new(),
            made_at: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            constants: Constants::default(),
            globals: Vec::new(),
            oddities: Vec::new(),
            protocol: 0,
            frame_end: 0,
            misframed: None,
            is_alone: false,
        }
    }

    fn run(&mut self, host: &mut dyn Host) -> Result<NodeId> {
        for _ in 0..ceiling::OPCODES {
            self.offset = self.cursor.position();
            let code = self.cursor.byte()?;
            self.opcode = opcode::name(code).ok_or(PickleErrorKind::Opcode { code })?;
            let frame_end = self.frame_end;
            let done = match code {
                opcode::STOP => self.pop().map(Some),
                opcode::BUILD => self.build(host).map(|()| None),
                _ => self.step(code).map(|()| None),
            };
            // What the opcode made of bytes behind the frame says nothing: CPython's C unpickler (`_Unpickler_ReadImpl`)
            // drops the rest of the frame and takes all of its argument from behind it. Only `BUILD` goes on elsewhere,
            // and has no argument.
            let is_cut = self.offset < frame_end && self.cursor.position() > frame_end;
            if is_cut && code != opcode::BUILD {
                self.misframe("reaches beyond the end of its frame");
            }
            if let Some(root) = done? {
                if self.cursor.position() < self.frame_end && !self.is_alone {
                    self.misframe("comes before the end of its frame");
                }
                return match self.misframed.take() {
                    None => Ok(root),
                    Some((offset, kind)) => {
                        self.offset = offset;
                        Err(kind)
                    }
                };
            }
        }
        Err(PickleErrorKind::Ceiling {
            what: "opcodes",
            ceiling: ceiling::OPCODES,
        })
    }

    fn step(&mut self, code: u8) -> Result<()> {
        use opcode::*;
        match code {
            PROTO | FRAME | MARK | POP | POP_MARK | DUP => self.control(code),
            PUT | BINPUT | LONG_BINPUT | MEMOIZE | GET | BINGET | LONG_BINGET => {
                self.remember(code)
            }
            NONE | NEWTRUE | NEWFALSE | INT | BININT | BININT1 | BININT2 | LONG | LONG1 | LONG4
            | FLOAT | BINFLOAT => self.number(code),
            STRING | BINSTRING | SHORT_BINSTRING | UNICODE | SHORT_BINUNICODE | BINUNICODE
            | BINUNICODE8 => self.text(code),
            SHORT_BINBYTES | BINBYTES | BINBYTES8 | BYTEARRAY8 | NEXT_BUFFER | READONLY_BUFFER => {
                self.octets(code)
            }
            EMPTY_TUPLE | TUPLE1 | TUPLE2 | TUPLE3 | TUPLE | EMPTY_LIST | LIST | EMPTY_DICT
            | DICT | EMPTY_SET | FROZENSET => self.container(code),
            APPEND | APPENDS | SETITEM | SETITEMS | ADDITEMS => self.fill(code),
            GLOBAL | STACK_GLOBAL | EXT1 | EXT2 | EXT4 | PERSID | BINPERSID => self.name(code),
            REDUCE | NEWOBJ | NEWOBJ_EX | INST | OBJ => self.call(code),
            _ => Err(PickleErrorKind::Opcode { code }),
        }
    }

    fn control(&mut self, code: u8) -> Result<()> {
        match code {
            opcode::PROTO => {
                // A later one counts for what follows it, as in CPython.
                self.protocol = self.cursor.byte()?;
                if self.protocol > 5 {
                    return Err(PickleErrorKind::Protocol {
                        found: self.protocol,
                    });
                }
            }
            opcode::FRAME => {
                // A reader fetches the whole frame at once, and who reads on after `STOP` does so behind it (`load_frame`
                // in `_pickle.c` and in `pickle.py`). A frame that reaches beyond the stream ends C's reading, and is
                // cut to fit by the other, so that what it holds is read here, up to a `STOP` too early for it.
                let size = u64::from_le_bytes(self.cursor.array()?);
                if i64::try_from(size).is_err() {
                    return Err(self.argument("a frame size that is not negative"));
                }
                if self.offset < self.frame_end {
                    self.misframe("begins a frame before the end of the last");
                }
                self.frame_end = self.cursor.position().saturating_add(size);
            }
            opcode::MARK => {
                if self.marks.len() as u64 >= ceiling::MARKS {
                    return Err(PickleErrorKind::Ceiling {
                        what: "open marks",
                        ceiling: ceiling::MARKS,
                    });
                }
                self.marks.push(self.stack.len());
            }
            opcode::POP => {
                // On a mark, it takes the mark.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            opcode::POP_MARK => {
                self.pop_mark()?;
            }
            _ => self.push(self.top()?)?,
        }
        Ok(())
    }

    fn remember(&mut self, code: u8) -> Result<()> {
        let index = match code {
            opcode::PUT | opcode::GET => {
                let line = self.cursor.line()?;
                text::index(&line).ok_or(self.argument("a memo index that is not negative"))?
            }
            opcode::BINPUT | opcode::BINGET => self.cursor.byte()?.into(),
            opcode::LONG_BINPUT | opcode::LONG_BINGET => {
                u32::from_le_bytes(self.cursor.array()?).into()
            }
            _ => self.memo.len() as u64,
        };
        if matches!(code, opcode::GET | opcode::BINGET | opcode::LONG_BINGET) {
            let opcode = self.opcode;
            let found = self.memo.get(&index).copied();
            return self.push(found.ok_or(PickleErrorKind::UnsetMemo { opcode, index })?);
        }
        self.memo.insert(index, self.top()?);
        match self.memo.len() as u64 > ceiling::MEMO {
            true => Err(PickleErrorKind::Ceiling {
                what: "memo entries",
                ceiling: ceiling::MEMO,
            }),
            false => Ok(()),
        }
    }

    fn name(&mut self, code: u8) -> Result<()> {
        match code {
            opcode::GLOBAL => {
                let global = self.global()?;
                self.make(Node::Global(global))
            }
            opcode::STACK_GLOBAL => {
                let name = self.pop()?;
                let module = self.pop()?;
                let global = GlobalName {
                    module: self.named_by(module)?,
                    name: self.named_by(name)?,
                };
                self.record(&global);
                self.make(Node::Global(global))
            }
            opcode::EXT1 | opcode::EXT2 | opcode::EXT4 => {
                let code = match code {
                    opcode::EXT1 => self.cursor.byte()?.into(),
                    opcode::EXT2 => u16::from_le_bytes(self.cursor.array()?).into(),
                    _ => i32::from_le_bytes(self.cursor.array()?),
                };
                self.make(Node::Extension(code))
            }
            opcode::PERSID => {
                let line = self.cursor.line()?;
                let ascii = line.is_ascii().then(|| text::python2(&line));
                let text = ascii.ok_or(self.argument("a persistent id in ASCII"))?;
                self.make(Node::Str(text))?;
                let id = self.pop()?;
                self.make(Node::Persistent(id))
            }
            _ => {
                let id = self.pop()?;
                self.make(Node::Persistent(id))
            }
        }
    }

    /// The two lines that name a global.
    pub fn global(&mut self) -> Result<GlobalName> {
        // A last line without its line feed is none for Python's C unpickler; its other one, which joblib uses, takes
        // the last byte for a line feed, whatever it is, and an import has happened before it fails.
        let (mut module, is_line) = self.cursor.line_or_rest()?;
        let (mut name, is_whole) = self.cursor.line_or_rest()?;
        if !is_whole {
            let last = if is_line { &mut name } else { &mut module };
            last.pop();
        }
        let text = |line: &[u8]| std::str::from_utf8(line).ok().map(Into::into);
        let (Some(module), Some(name)) = (text(&module), text(&name)) else {
            return Err(self.argument("the names of a module and of a global in UTF-8"));
        };
        let global = GlobalName { module, name };
        self.record(&global);
        match is_whole {
            true => Ok(global),
            false => Err(PickleErrorKind::Truncated),
        }
    }

    /// A text from the stack that names a global or its module.
    fn named_by(&self, id: NodeId) -> Result<std::sync::Arc<str>> {
        match self.node(id) {
            Node::Str(text) => Ok(text.clone()),
            // Any of these could be a text when the stream runs.
            node @ (Node::Object { .. }
            | Node::Global(_)
            | Node::Persistent(_)
            | Node::Raw(_)
            | Node::Extension(_)) => Err(PickleErrorKind::ComputedGlobal {
                opcode: self.opcode,
                found: node.what(),
            }),
            other => Err(self.operand("texts", other)),
        }
    }

    fn record(&mut self, global: &GlobalName) {
        self.globals.push(GlobalUse {
            global: global.clone(),
            offset: self.offset,
        });
    }

    /// Puts a new value on the stack.
    pub fn make(&mut self, node: Node) -> Result<()> {
        let constant = match &node {
            Node::None => Some(&mut self.constants.none),
            Node::Bool(truth) => Some(&mut self.constants.truths[usize::from(*truth)]),
            Node::Tuple(items) if items.is_empty() => Some(&mut self.constants.empty_tuple),
            _ => None,
        };
        if let Some(Some(id)) = constant {
            let id = *id;
            return self.push(id);
        }
        if self.nodes.len() as u64 >= ceiling::NODES {
            return Err(PickleErrorKind::Ceiling {
                what: "values",
                ceiling: ceiling::NODES,
            });
        }
        let id = NodeId(self.nodes.len() as u32);
        if let Some(constant) = constant {
            *constant = Some(id);
        }
        self.nodes.push(node);
        self.made_at.push(self.offset);
        self.push(id)
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub fn push(&mut self, id: NodeId) -> Result<()> {
        if self.stack.len() as u64 >= ceiling::STACK {
            return Err(PickleErrorKind::Ceiling {
                what: "values on the stack",
                ceiling: ceiling::STACK,
            });
        }
        self.stack.push(id);
        Ok(())
    }

    /// The values above the last mark.
    fn above_mark(&self) -> &[NodeId] {
        &self.stack[self.marks.last().copied().unwrap_or(0)..]
    }

    fn underflow(&self) -> PickleErrorKind {
        PickleErrorKind::Underflow {
            opcode: self.opcode,
        }
    }

    pub fn top(&self) -> Result<NodeId> {
        self.above_mark().last().copied().ok_or(self.underflow())
    }

    pub fn pop(&mut self) -> Result<NodeId> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    pub fn pop_many(&mut self, count: usize) -> Result<Vec<NodeId>> {
        if self.above_mark().len() < count {
            return Err(self.underflow());
        }
        Ok(self.stack.split_off(self.stack.len() - count))
    }

    /// What stands above the last mark, which is taken with it.
    pub fn pop_mark(&mut self) -> Result<Vec<NodeId>> {
        let opcode = self.opcode;
        let mark = self.marks.pop().ok_or(PickleErrorKind::NoMark { opcode })?;
        Ok(self.stack.split_off(mark))
    }

    pub fn pop_pairs(&mut self) -> Result<Vec<(NodeId, NodeId)>> {
        let items = self.pop_mark()?;
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err(PickleErrorKind::OddItems {
                opcode: self.opcode,
            });
        };
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    pub fn argument(&self, expected: &'static str) -> PickleErrorKind {
        PickleErrorKind::Argument {
            opcode: self.opcode,
            expected,
        }
    }

    /// Picklers end a frame between two opcodes, and the last one, if there is one, with `STOP` (`_Framer` in
    /// `pickle.py`, `_Pickler_CloseFrame` in `_pickle.c`).
    fn misframe(&mut self, wrong: &'static str) {
        let opcode = self.opcode;
        self.misframed
            .get_or_insert((self.offset, PickleErrorKind::Frame { opcode, wrong }));
    }

    pub fn operand(&self, expected: &'static str, found: &Node) -> PickleErrorKind {
        PickleErrorKind::Operand {
            opcode: self.opcode,
            expected,
            found: found.what(),
        }
    }
}
