//! NumPy arrays as stacks of planes: lent where a plane lies in memory as it is read, copied plane by plane where not.

use model_bundle::image::Pixels;
use numpy::ndarray::{ArrayView4, Axis};
use numpy::{PyReadonlyArray4, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// An array `[T, C, H, W]` of one of the number types of [`Pixels`], in this machine's byte order.
pub enum Stack<'py> {
    U8(PyReadonlyArray4<'py, u8>),
    U16(PyReadonlyArray4<'py, u16>),
    I16(PyReadonlyArray4<'py, i16>),
    U32(PyReadonlyArray4<'py, u32>),
    I32(PyReadonlyArray4<'py, i32>),
    F32(PyReadonlyArray4<'py, f32>),
}

/// What an array lends while nobody may write to it.
#[derive(Clone, Copy)]
pub enum View<'a> {
    U8(ArrayView4<'a, u8>),
    U16(ArrayView4<'a, u16>),
    I16(ArrayView4<'a, i16>),
    U32(ArrayView4<'a, u32>),
    I32(ArrayView4<'a, i32>),
    F32(ArrayView4<'a, f32>),
}

/// Does the same with whichever type it is.
macro_rules! each {
    ($value:expr, $from:ident => |$array:ident| $does:expr) => {
        match $value {
            $from::U8($array) => $does,
            $from::U16($array) => $does,
            $from::I16($array) => $does,
            $from::U32($array) => $does,
            $from::I32($array) => $does,
            $from::F32($array) => $does,
        }
    };
}

impl<'py> Stack<'py> {
    /// The array that an object is.
    ///
    /// # Errors
    /// Fails if it is no array of four axes and one of the types.
    pub fn of(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(array) = object.extract() {
            return Ok(Self::F32(array));
        }
        if let Ok(array) = object.extract() {
            return Ok(Self::U16(array));
        }
        if let Ok(array) = object.extract() {
            return Ok(Self::U8(array));
        }
        if let Ok(array) = object.extract() {
            return Ok(Self::I16(array));
        }
        if let Ok(array) = object.extract() {
            return Ok(Self::U32(array));
        }
        if let Ok(array) = object.extract() {
            return Ok(Self::I32(array));
        }
        let found = match object.cast::<PyUntypedArray>() {
            Ok(array) => format!("{} axes of {}", array.ndim(), array.dtype()),
            Err(_) => object.get_type().name()?.to_string(),
        };
        Err(PyTypeError::new_err(format!(
            "expected an array of 4 axes of images' numbers, found {found}"
        )))
    }

    /// What it lends.
    pub fn view(&self) -> View<'_> {
        match self {
            Self::U8(array) => View::U8(array.as_array()),
            Self::U16(array) => View::U16(array.as_array()),
            Self::I16(array) => View::I16(array.as_array()),
            Self::U32(array) => View::U32(array.as_array()),
            Self::I32(array) => View::I32(array.as_array()),
            Self::F32(array) => View::F32(array.as_array()),
        }
    }
}

impl<'a> View<'a> {
    /// Its lengths: frames, channels, height, width.
    pub fn shape(&self) -> [usize; 4] {
        let (frames, channels, height, width) = each!(self, View => |array| array.dim());
        [frames, channels, height, width]
    }

    /// A channel of a frame.
    pub fn plane(&self, frame: usize, channel: usize) -> Pixels<'a> {
        macro_rules! pixels {
            ($kind:ident, $array:expr) => {{
                let plane = $array.index_axis_move(Axis(0), frame);
                let plane = plane.index_axis_move(Axis(0), channel);
                match plane.to_slice() {
                    Some(lent) => Pixels::$kind(lent.into()),
                    None => Pixels::$kind(plane.iter().copied().collect()),
                }
            }};
        }
        match *self {
            Self::U8(array) => pixels!(U8, array),
            Self::U16(array) => pixels!(U16, array),
            Self::I16(array) => pixels!(I16, array),
            Self::U32(array) => pixels!(U32, array),
            Self::I32(array) => pixels!(I32, array),
            Self::F32(array) => pixels!(F32, array),
        }
    }

    /// Whether every plane is lent, and none copied.
    pub fn is_lent(&self) -> bool {
        let [frames, channels, ..] = self.shape();
        let planes = (0..frames).flat_map(|frame| (0..channels).map(move |c| (frame, c)));
        each!(*self, View => |array| planes.into_iter().all(|(frame, channel)| {
            array.index_axis(Axis(0), frame).index_axis(Axis(0), channel).is_standard_layout()
        }))
    }
}
