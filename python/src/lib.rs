//! The extension module beneath the Python package `model_bundle`, which alone uses it.
//!
//! Python's side has the signatures, the documentation and the results that people see; here arrays, errors and the
//! wish to stop are translated, and the library is called.

mod arrays;
mod errors;
mod model;
mod operations;
mod values;
mod work;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::model::{Bundle, Model};
    #[pymodule_export]
    use super::operations::{build, check, diff, lock, run_command, verify};

    /// Whether an array `[T, C, H, W]` is read where it lies, and no plane of it copied.
    #[pyfunction]
    fn is_lent(array: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(super::arrays::Stack::of(array)?.view().is_lent())
    }
}
