//! Plain values from Python and to it.

use model_bundle::value::{Key, Map, Value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// A value as Python has it.
pub fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Bool(x) => PyBool::new(py, *x).to_owned().into_any(),
        Value::Int(x) => x.into_pyobject(py)?.into_any(),
        Value::Float(x) => PyFloat::new(py, *x).into_any(),
        Value::String(x) => PyString::new(py, x).into_any(),
        Value::List(items) => {
            let items = items.iter().map(|item| to_python(py, item));
            PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
        Value::Map(map) => dictionary(py, map)?.into_any(),
    })
}

/// A map as Python has it, in its order.
pub fn dictionary<'py>(py: Python<'py>, map: &Map) -> PyResult<Bound<'py, PyDict>> {
    let dictionary = PyDict::new(py);
    for (key, value) in map {
        let value = to_python(py, value)?;
        match key {
            Key::Int(number) => dictionary.set_item(number, value)?,
            Key::String(text) => dictionary.set_item(text, value)?,
        }
    }
    Ok(dictionary)
}

/// A dictionary of plain values. What is `None` is not there.
///
/// # Errors
/// Names the first value that is none that a config can hold.
pub fn map(dictionary: &Bound<'_, PyDict>) -> PyResult<Map> {
    let mut map = Map::new();
    for (key, value) in dictionary {
        if value.is_none() {
            continue;
        }
        let key = match key.extract::<i64>() {
            Ok(number) => Key::Int(number),
            Err(_) => Key::String(key.str()?.to_string()),
        };
        map.insert(key, self::value(&value)?);
    }
    Ok(map)
}

fn value(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(flag) = object.cast::<PyBool>() {
        return Ok(Value::Bool(flag.is_true()));
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Value::String(text.to_string()));
    }
    if let Ok(dictionary) = object.cast::<PyDict>() {
        return Ok(Value::Map(map(dictionary)?));
    }
    if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        let items = object.try_iter()?.map(|item| value(&item?));
        return Ok(Value::List(items.collect::<PyResult<_>>()?));
    }
    // NumPy's numbers are no Python numbers, but become some.
    if object.is_instance_of::<PyInt>() || object.hasattr("__index__")? {
        return Ok(Value::Int(object.extract()?));
    }
    match object.extract::<f64>() {
        Ok(number) => Ok(Value::Float(number)),
        Err(_) => Err(PyTypeError::new_err(format!(
            "expected a number, a text, a truth value, a list or a dictionary, found {}",
            object.get_type().name()?
        ))),
    }
}
