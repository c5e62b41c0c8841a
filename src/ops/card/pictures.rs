//! Pictures of test vectors: the first frame of the input beside what is expected of it.

use std::collections::HashMap;
use std::path::Path;

use crate::config::{Model, ModelKind};
use crate::image::preview::Preview;
use crate::image::{ImageError, Reader};
use crate::progress::Progress;
use crate::runner::TaskError;
use crate::subject::{Subject, Vector, VectorFile};
use crate::tasks::picture::{Classes, Shown};
use crate::tasks::table::Table;
use crate::value::{Key, Map, Value};

/// The picture of a model's test vector; none if it has no vector, or one of tables.
///
/// # Errors
/// Fails if a file of the vector cannot be read, or does not fit the others.
pub(super) fn of_vector(
    subject: &Subject,
    model: &Model,
    progress: &dyn Progress,
) -> Result<Option<Preview>, TaskError> {
    let Some(vector) = subject.vector(model) else {
        return Ok(None);
    };
    let open = |file: &VectorFile| -> Result<Reader, TaskError> {
        let blob = subject.vector_file(file, progress)?;
        Ok(Reader::of_blob(&file.path, blob)?)
    };
    let picture = match model.kind {
        ModelKind::Nafnet => {
            let shown = shown(model, &vector, &mut open(&vector.input)?)?;
            let expected = frame(&mut open(&vector.expected)?, &shown)?;
            shown.restored(expected.into_iter().next().unwrap_or_default(), true)
        }
        ModelKind::MonaiUnet => {
            let shown = shown(model, &vector, &mut open(&vector.input)?)?;
            let expected = frame(&mut open(&vector.expected)?, &shown)?;
            shown.probabilities(expected)
        }
        ModelKind::FlexResNet => {
            let Some(labels) = &vector.labels else {
                return Ok(None);
            };
            let shown = shown(model, &vector, &mut open(&vector.input)?)?;
            let mut labels = frame(&mut open(labels)?, &shown)?;
            let table = subject.vector_file(&vector.expected, progress)?;
            let names = class_names(model.model_args.as_ref());
            let classes = classes(Table::read(table.reader(), &vector.expected.path)?, &names)?;
            shown.classified(Classes {
                labels: labels
                    .swap_remove(0)
                    .into_iter()
                    .map(|v| v as u32)
                    .collect(),
                classes,
                names,
            })
        }
        _ => return Ok(None),
    };
    Ok(Some(picture))
}

/// The input's first frame.
fn shown(model: &Model, vector: &Vector, reader: &mut Reader) -> Result<Shown, ImageError> {
    let axes = reader.info().axes;
    let name = |file: &VectorFile| {
        let path: &Path = &file.path;
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let of = match axes.frames {
        1 => String::new(),
        frames => format!(", frame 0 (of {frames}, from 0)"),
    };
    Ok(Shown {
        title: vec![
            format!("{}, test vector", model.key.as_str()),
            format!("{} and {}{of}", name(&vector.input), name(&vector.expected)),
        ],
        size: [axes.height, axes.width],
        pixel: reader.info().calibration.pixel,
        input: reader.plane(0, 0, 0)?.to_f32(),
    })
}

/// The channels of a first frame, which has the input's size.
fn frame(reader: &mut Reader, shown: &Shown) -> Result<Vec<Vec<f32>>, TaskError> {
    let axes = reader.info().axes;
    if [axes.height, axes.width] != shown.size {
        return Err(TaskError::Shape {
            what: "height and width of the vector's files".to_owned(),
            expected: format!("{:?}, as the input has", shown.size),
            found: format!("{:?}", [axes.height, axes.width]),
        });
    }
    let channels = (0..axes.channels).map(|channel| Ok(reader.plane(0, 0, channel)?.to_f32()));
    Ok(channels.collect::<Result<_, ImageError>>()?)
}

/// The classes of the config's `classes`, in the order of their numbers.
fn class_names(args: Option<&Map>) -> Vec<String> {
    let Some(Value::Map(classes)) = args.and_then(|args| args.get(&Key::from("classes"))) else {
        return Vec::new();
    };
    let mut named: Vec<(&i64, &String)> = classes
        .iter()
        .filter_map(|(key, name)| match (key, name) {
            (Key::Int(number), Value::String(name)) => Some((number, name)),
            _ => None,
        })
        .collect();
    named.sort();
    named.into_iter().map(|(_, name)| name.clone()).collect()
}

/// The class of each label of the first frame, by the columns `frame`, `label` and `class`.
fn classes<R: std::io::Read>(
    table: Table<R>,
    names: &[String],
) -> Result<HashMap<u32, usize>, TaskError> {
    let column = |name: &str| table.columns().iter().position(|column| column == name);
    let (frame, label, class) = (column("frame"), column("label"), column("class"));
    let (Some(label), Some(class)) = (label, class) else {
        return Err(TaskError::Shape {
            what: "the columns of the expected table".to_owned(),
            expected: "`label` and `class`".to_owned(),
            found: table.columns().join(","),
        });
    };
    let mut classes = HashMap::new();
    for row in table {
        let row = row?;
        let cells: Vec<&str> = row.cells().collect();
        let is_first = frame.is_none_or(|frame| cells.get(frame) == Some(&"0"));
        let label = cells.get(label).and_then(|label| label.parse().ok());
        let name = cells.get(class);
        let class = names.iter().position(|known| Some(&known.as_str()) == name);
        if let (true, Some(label), Some(class)) = (is_first, label, class) {
            classes.insert(label, class);
        }
    }
    Ok(classes)
}
