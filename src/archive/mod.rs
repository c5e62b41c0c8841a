//! The canonical ZIP: how it is laid out, written and read.
