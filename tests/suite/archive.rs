//! The archive against other readers and against damage.
