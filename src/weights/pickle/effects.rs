//! The opcodes that call something, and those that change a value that stands on the stack already.

use super::error::PickleErrorKind;
use super::machine::{Host, Machine, Result};
use super::node::{GlobalName, Node, NodeId, Oddity};
use super::opcode;

/// More oddities than these say nothing new.
const ODDITIES: usize = 64;

impl Machine<'_> {
    /// Every call is an object of its own, whatever it would return.
    pub fn call(&mut self, code: u8) -> Result<()> {
        let (callable, args, kwargs) = match code {
            opcode::REDUCE | opcode::NEWOBJ => {
                let args = self.pop()?;
                (self.pop()?, args, None)
            }
            opcode::NEWOBJ_EX => {
                let kwargs = self.pop()?;
                let args = self.pop()?;
                (self.pop()?, args, Some(kwargs))
            }
            opcode::INST => {
                let global = self.global()?;
                let args = self.pop_mark()?;
                self.take(&args);
                (
                    self.made(Node::Global(global))?,
                    self.made(Node::Tuple(args))?,
                    None,
                )
            }
            _ => {
                let mut args = self.pop_mark()?;
                if args.is_empty() {
                    return Err(PickleErrorKind::Underflow {
                        opcode: self.opcode,
                    });
                }
                self.take(&args);
                let callable = args.remove(0);
                (callable, self.made(Node::Tuple(args))?, None)
            }
        };
        self.take(&[args]);
        self.make(Node::Object {
            callable,
            args,
            kwargs,
            state: Vec::new(),
            items: Vec::new(),
            entries: Vec::new(),
        })
    }

    /// A new value that is not left on the stack.
    fn made(&mut self, node: Node) -> Result<NodeId> {
        self.make(node)?;
        self.pop()
    }

    pub fn build(&mut self, host: &mut dyn Host) -> Result<()> {
        let argument = self.pop()?;
        self.take(&[argument]);
        let target = self.top()?;
        match &mut self.nodes[target.0 as usize] {
            Node::Object { state, .. } => state.push(argument),
            _ => {
                self.odd(target);
                return Ok(());
            }
        }
        let position = self.cursor.position();
        let raw = host.after_build(&self.nodes, target, self.cursor.blob(), position);
        if let Some((number, end)) = raw.map_err(PickleErrorKind::Host)? {
            // Python's unpickler has the whole frame already, and a container that reads from the file itself goes on
            // behind it (`pickle._Unframer`; joblib's `NumpyPickler` ends the frame first).
            if position < self.frame_end {
                return Err(PickleErrorKind::Host(
                    "raw bytes begin within a frame of the pickle, and readers differ on which they are".to_owned(),
                ));
            }
            if !(position..=self.cursor.blob().size()).contains(&end) {
                return Err(PickleErrorKind::Truncated);
            }
            self.cursor.seek(end);
            self.pop()?;
            self.make(Node::Raw(number))?;
        }
        Ok(())
    }

    /// Appends and settings: to what a pickler made for it, or to the result of a call.
    pub fn fill(&mut self, code: u8) -> Result<()> {
        let (values, pairs) = match code {
            opcode::APPEND => (vec![self.pop()?], Vec::new()),
            opcode::APPENDS | opcode::ADDITEMS => (self.pop_mark()?, Vec::new()),
            opcode::SETITEM => {
                let value = self.pop()?;
                (Vec::new(), vec![(self.pop()?, value)])
            }
            _ => (Vec::new(), self.pop_pairs()?),
        };
        let target = self.top()?;
        self.take(&values);
        for &(key, value) in &pairs {
            self.take(&[key, value]);
        }
        match (code, &mut self.nodes[target.0 as usize]) {
            (opcode::APPEND | opcode::APPENDS, Node::List(items))
            | (opcode::ADDITEMS, Node::Set(items))
            | (opcode::APPEND | opcode::APPENDS | opcode::ADDITEMS, Node::Object { items, .. }) => {
                items.extend(values);
            }
            (
                opcode::SETITEM | opcode::SETITEMS,
                Node::Dict(entries) | Node::Object { entries, .. },
            ) => {
                entries.extend(pairs);
            }
            _ => self.odd(target),
        }
        Ok(())
    }

    /// Values become part of another, or arguments of a call. What would still take a state then is noted, whether or not
    /// it comes: Python would meanwhile use another object than the graph shows.
    pub fn take(&mut self, values: &[NodeId]) {
        for &value in values {
            if self.lacks_state(value) {
                self.note(value, true);
            }
        }
    }

    /// Whether picklers set the state of such an object right after its making, and it has none yet: numpy's dtypes
    /// (`arraydescr_reduce` in `descriptor.c`; with fewer arguments they are complete, and take no state), its arrays
    /// (`array_reduce` in `methods.c`) and joblib's wrappers. Estimators may well be parts of their own state.
    fn lacks_state(&self, value: NodeId) -> bool {
        let Node::Object {
            callable,
            args,
            state,
            ..
        } = self.node(value)
        else {
            return false;
        };
        let (Node::Global(callable), Node::Tuple(args)) = (self.node(*callable), self.node(*args))
        else {
            return false;
        };
        let is_wrapper = |class: &GlobalName| {
            &*class.name == "NumpyArrayWrapper" && class.module.ends_with("joblib.numpy_pickle")
        };
        state.is_empty()
            && match (&*callable.module, &*callable.name) {
                ("numpy", "dtype") => args.len() == 3,
                ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => true,
                ("copyreg" | "copy_reg", "_reconstructor") => {
                    let class = args.first().map(|class| self.node(*class));
                    matches!(class, Some(Node::Global(class)) if is_wrapper(class))
                }
                _ => is_wrapper(callable),
            }
    }

    fn odd(&mut self, target: NodeId) {
        self.note(target, false);
    }

    fn note(&mut self, target: NodeId, is_early: bool) {
        if self.oddities.len() < ODDITIES {
            self.oddities.push(Oddity {
                offset: self.offset,
                opcode: self.opcode,
                target,
                is_early,
            });
        }
    }
}
