//! What a file of weights holds, read without running a byte of it: tensors, estimators, and what its pickles name.
//!
//! [`read`] recognises the container by its bytes, never by its extension, since that is what loaders do. Pickles are
//! interpreted symbolically ([`pickle`]): a global is a name, a call is a node, nothing is looked up or executed.
//! What they name is judged by [`audit`]. Tensor data stays where it is, and is streamed when it is hashed or used.

pub mod pickle;
pub mod tensor;
