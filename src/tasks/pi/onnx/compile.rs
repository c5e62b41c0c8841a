//! A model's graph -> steps: every value gets a place, every operator its attributes, before any row is seen.

use std::collections::HashMap;
use std::sync::Arc;

use super::node::{Node, constant};
use super::ops::{Binary, Cast, Reduction, Unary};
use super::scores::{Linear, Norm, Scaler, labels};
use super::trees::Ensemble;
use super::value::{Data, Precision, Value};
use super::{Input, Op, Program, Step};
use crate::tasks::pi::PiError;
use crate::weights::onnx::{Declaration, Dim, Element, Kind, ML, Model};
use crate::weights::tensor::DType;

/// The operators that are run, for messages.
const SUPPORTED: &str = "LinearClassifier, TreeEnsembleClassifier, Scaler, Normalizer, ArrayFeatureExtractor, FeatureVectorizer and ZipMap of \
    `ai.onnx.ml`, and Abs, Add, ArgMax, Cast, Clip, Concat, Div, Identity, MatMul, Mul, ReduceSum, ReduceSumSquare, \
    Reshape, Sigmoid, Slice, Softmax, Sqrt and Sub are";

/// A model that is ready, and what it takes and gives.
pub(in crate::tasks::pi) struct Compiled {
    pub program: Program,
    pub width: usize,
    pub features: Option<Vec<String>>,
    pub classes: Vec<String>,
}

/// Compiles a classifier: its first output is the label, the others are probabilities.
pub(in crate::tasks::pi) fn compile(model: &Model) -> Result<Compiled, PiError> {
    let mut compiler = Compiler::default();
    compiler.constants(model)?;
    let names = compiler.inputs(model)?;
    for node in &model.graph.nodes {
        compiler.node(Node(node))?;
    }
    let width = compiler.inputs.iter().map(|input| input.columns).sum();
    let features = features(model, names, width)?;
    let (label, labels) = compiler.label(model)?;
    let classes = classes(&labels)?;
    let probabilities = compiler.probabilities(model, &labels)?;
    let takes_missing = |step: &Step| match &step.op {
        Op::Trees(trees) => trees.takes_missing(),
        _ => false,
    };
    Ok(Compiled {
        width,
        features,
        classes,
        program: Program {
            takes_missing: compiler.steps.iter().any(takes_missing),
            inputs: compiler.inputs,
            constants: compiler.constants,
            steps: compiler.steps,
            values: compiler.places.len(),
            labels,
            label,
            probabilities,
        },
    })
}

/// The names of the features: those of the metadata, or those of inputs that are a feature each.
fn features(
    model: &Model,
    names: Vec<String>,
    width: usize,
) -> Result<Option<Vec<String>>, PiError> {
    let Some(known) = model.feature_names() else {
        return Ok((names.len() == width && width > 1).then_some(names));
    };
    match known.len() == width {
        true => Ok(Some(
            known
                .into_iter()
                .map(|name| name.trim().to_owned())
                .collect(),
        )),
        false => Err(PiError::Model {
            what: "`feature_names` of the metadata".to_owned(),
            expected: format!("{width} names"),
            found: known.len().to_string(),
        }),
    }
}

/// What labels are called. HiTMicTools takes the number 0 for `piNEG` and 1 for `piPOS`.
fn classes(labels: &Data) -> Result<Vec<String>, PiError> {
    let names: Vec<String> = match labels {
        Data::Ints(list) if **list == [0, 1] => vec!["piNEG".to_owned(), "piPOS".to_owned()],
        Data::Ints(list) => list.iter().map(ToString::to_string).collect(),
        Data::Texts(list) => list.iter().map(|text| text.to_string()).collect(),
        Data::Reals(..) => Vec::new(),
    };
    let different: std::collections::HashSet<&String> = names.iter().collect();
    match names.len() >= 2 && different.len() == names.len() {
        true => Ok(names),
        false => Err(PiError::Model {
            what: "the labels".to_owned(),
            expected: "at least two, all different".to_owned(),
            found: format!("{names:?}"),
        }),
    }
}

/// What is known of a model on the way.
#[derive(Default)]
struct Compiler<'a> {
    inputs: Vec<Input>,
    constants: Vec<(usize, Value)>,
    steps: Vec<Step>,
    /// The place of each named value.
    places: HashMap<&'a str, usize>,
    /// The node that gives each named value.
    makers: HashMap<&'a str, Node<'a>>,
}

impl<'a> Compiler<'a> {
    /// Gives a value a place of its own.
    fn place(&mut self, name: &'a str) -> Result<usize, PiError> {
        let place = self.places.len();
        match self.places.insert(name, place) {
            None => Ok(place),
            Some(_) => Err(PiError::Model {
                what: format!("the value `{name}`"),
                expected: "one node that gives it".to_owned(),
                found: "several".to_owned(),
            }),
        }
    }

    fn constants(&mut self, model: &'a Model) -> Result<(), PiError> {
        for tensor in &model.graph.initialisers {
            let place = self.place(&tensor.name)?;
            self.constants.push((place, constant(tensor)?));
        }
        for texts in &model.graph.texts {
            let place = self.place(&texts.name)?;
            let list = texts.values.iter().map(|text| Arc::from(text.as_str()));
            let list: Vec<Arc<str>> = list.collect();
            let value = Value {
                shape: vec![list.len()],
                data: Data::Texts(list),
            };
            self.constants.push((place, value));
        }
        Ok(())
    }

    /// Takes the inputs; their names.
    fn inputs(&mut self, model: &'a Model) -> Result<Vec<String>, PiError> {
        let mut names = Vec::new();
        for input in &model.graph.inputs {
            if self.places.contains_key(input.name.as_str()) {
                continue;
            }
            let (precision, columns) = input_type(input, model)?;
            let place = self.place(&input.name)?;
            names.push(input.name.clone());
            self.inputs.push(Input {
                place,
                columns,
                precision,
            });
        }
        match names.is_empty() {
            false => Ok(names),
            true => Err(PiError::Model {
                what: "the model".to_owned(),
                expected: "an input".to_owned(),
                found: "none".to_owned(),
            }),
        }
    }

    fn node(&mut self, node: Node<'a>) -> Result<(), PiError> {
        let mut inputs = Vec::with_capacity(node.0.inputs.len());
        for name in &node.0.inputs {
            inputs.push(match (name.as_str(), self.places.get(name.as_str())) {
                ("", _) => None,
                (_, Some(place)) => Some(*place),
                (_, None) => {
                    let expected = "inputs that nodes before it give";
                    return Err(node.wrong(expected, format!("`{name}`, which none gives")));
                }
            });
        }
        let op = self.op(&node, &inputs)?;
        let mut outputs = Vec::with_capacity(node.0.outputs.len());
        for name in &node.0.outputs {
            if name.is_empty() {
                outputs.push(None);
                continue;
            }
            self.makers.insert(name, node);
            outputs.push(Some(self.place(name)?));
        }
        if let Some(op) = op {
            self.steps.push(Step {
                op,
                called: node.called(),
                inputs,
                outputs,
            });
        }
        Ok(())
    }

    /// What a node does; nothing for `ZipMap`, whose maps are never made: its input has all that they have.
    fn op(&self, node: &Node, inputs: &[Option<usize>]) -> Result<Option<Op>, PiError> {
        let op = match (node.0.domain.as_str(), node.0.op.as_str()) {
            ("", "Identity") => Op::Identity,
            ("", "Cast") => Op::Cast(Cast::to(node)?),
            ("", "Add") => Op::Binary(Binary::Add),
            ("", "Sub") => Op::Binary(Binary::Sub),
            ("", "Mul") => Op::Binary(Binary::Mul),
            ("", "Div") => Op::Binary(Binary::Div),
            ("", "Abs") => Op::Unary(Unary::Abs),
            ("", "Sqrt") => Op::Unary(Unary::Sqrt),
            ("", "Sigmoid") => Op::Unary(Unary::Sigmoid),
            ("", "Clip") => {
                for old in ["min", "max"] {
                    if node.has(old) {
                        let detail = format!("with the attribute `{old}`");
                        return Err(node.unsupported(detail, "bounds as inputs (opset 11) are"));
                    }
                }
                Op::Clip
            }
            ("", "MatMul") => Op::MatMul,
            ("", "ReduceSum") => self.reduction(Reduction::Sum, node, inputs)?,
            ("", "ReduceSumSquare") => self.reduction(Reduction::SumOfSquares, node, inputs)?,
            ("", "Softmax") => {
                along_rows(node, node.int("axis", -1)?)?;
                Op::Softmax
            }
            ("", "ArgMax") => {
                along_rows(node, node.int("axis", 0)?)?;
                if node.int("select_last_index", 0)? != 0 {
                    return Err(node.unsupported("of the last of several", "the first is"));
                }
                Op::ArgMax(node.int("keepdims", 1)? != 0)
            }
            ("", "Reshape") => {
                if node.int("allowzero", 0)? != 0 {
                    return Err(node.unsupported("with allowzero", "without it is"));
                }
                Op::Reshape
            }
            ("", "Slice") => Op::Slice,
            ("", "Concat") => {
                along_rows(node, node.int("axis", 0)?)?;
                Op::Concat
            }
            (ML, "FeatureVectorizer") => Op::Vectorize(node.ints("inputdimensions")?.to_vec()),
            (ML, "ArrayFeatureExtractor") => Op::Extract,
            (ML, "Scaler") => Op::Scaler(Scaler::of(node)?),
            (ML, "Normalizer") => Op::Normalizer(Norm::of(node)?),
            (ML, "LinearClassifier") => Op::Linear(Linear::of(node)?),
            (ML, "TreeEnsembleClassifier") => Op::Trees(Ensemble::of(node)?),
            (ML, "ZipMap") => return Ok(None),
            _ => return Err(node.unsupported("", SUPPORTED)),
        };
        Ok(Some(op))
    }

    /// A sum along the rows: the axis is an attribute, or since opset 13 (18) a constant input.
    fn reduction(
        &self,
        op: Reduction,
        node: &Node,
        inputs: &[Option<usize>],
    ) -> Result<Op, PiError> {
        let keep = node.int("keepdims", 1)? != 0;
        let axes = match inputs.get(1).copied().flatten() {
            None => node.ints("axes")?,
            Some(place) => {
                let mut constants = self.constants.iter();
                match constants.find(|(known, _)| *known == place) {
                    Some((
                        _,
                        Value {
                            data: Data::Ints(list),
                            ..
                        },
                    )) => list,
                    _ => return Err(node.unsupported("with computed axes", "constant ones are")),
                }
            }
        };
        match axes {
            [axis] => along_rows(node, *axis).map(|()| Op::Reduce(op, keep)),
            _ => Err(node.unsupported(format!("over the axes {axes:?}"), "the axis 1 is")),
        }
    }

    /// Where the label is, and all labels that there are.
    fn label(&self, model: &Model) -> Result<(usize, Data), PiError> {
        let output = model.graph.outputs.first();
        let name = output.map_or("", |output| output.name.as_str());
        let place = self.output(name)?;
        let mut name = name;
        // Every node stands after those that it takes from: this ends.
        while let Some(node) = self.makers.get(name) {
            name = match node.0.op.as_str() {
                "Identity" | "Cast" | "Reshape" => node.0.inputs.first().map_or("", String::as_str),
                "LinearClassifier" if node.0.outputs.first().is_some_and(|o| o == name) => {
                    return Ok((
                        place,
                        labels(node, "classlabels_strings", "classlabels_ints")?,
                    ));
                }
                "TreeEnsembleClassifier" if node.0.outputs.first().is_some_and(|o| o == name) => {
                    return Ok((
                        place,
                        labels(node, "classlabels_strings", "classlabels_int64s")?,
                    ));
                }
                "ArrayFeatureExtractor" => {
                    let list = node
                        .0
                        .inputs
                        .first()
                        .and_then(|n| self.places.get(n.as_str()));
                    let mut constants = self.constants.iter();
                    match constants.find(|(known, _)| Some(known) == list) {
                        Some((_, value)) => return Ok((place, value.data.clone())),
                        None => break,
                    }
                }
                _ => break,
            };
        }
        Err(PiError::Model {
            what: "the first output of the model".to_owned(),
            expected: "the label that a classifier gives".to_owned(),
            found: format!("`{name}`"),
        })
    }

    fn output(&self, name: &str) -> Result<usize, PiError> {
        let place = self.places.get(name).copied();
        place.ok_or_else(|| PiError::Model {
            what: "the outputs of the model".to_owned(),
            expected: "values that its nodes give".to_owned(),
            found: format!("`{name}`"),
        })
    }

    /// Where the probabilities are: in a matrix, in maps made of one, or in a column for each class.
    fn probabilities(&self, model: &Model, known: &Data) -> Result<Vec<usize>, PiError> {
        let outputs = model.graph.outputs.get(1..).unwrap_or_default();
        if outputs.len() != 1 && outputs.len() != known.len() {
            return Err(PiError::Model {
                what: "the outputs of the model".to_owned(),
                expected: "the label, and the probabilities of the classes".to_owned(),
                found: format!("{} outputs", model.graph.outputs.len()),
            });
        }
        let mut places = Vec::with_capacity(outputs.len());
        for output in outputs {
            let place = self.output(&output.name)?;
            places.push(match self.makers.get(output.name.as_str()) {
                Some(node) if node.0.op == "ZipMap" => {
                    let keys = labels(node, "classlabels_strings", "classlabels_int64s")?;
                    if keys != *known {
                        return Err(node.wrong("the classifier's labels", "others"));
                    }
                    self.output(node.0.inputs.first().map_or("", String::as_str))?
                }
                _ => place,
            });
        }
        Ok(places)
    }
}

/// Fails unless an axis is that of the columns of a matrix.
fn along_rows(node: &Node, axis: i64) -> Result<(), PiError> {
    match axis {
        1 | -1 => Ok(()),
        axis => Err(node.unsupported(format!("along axis {axis}"), "along axis 1 is")),
    }
}

/// The precision of an input, and how many features of a row it takes.
fn input_type(input: &Declaration, model: &Model) -> Result<(Precision, usize), PiError> {
    /// More features than a table of cells has.
    const MOST: u64 = 1 << 16;
    let what = || format!("the input `{}`", input.name);
    let Kind::Tensor { element, shape } = &input.kind else {
        return Err(PiError::Unsupported {
            what: format!("{}, which is no tensor,", what()),
            next: "tensors of float and double are".to_owned(),
        });
    };
    let precision = match element {
        Element::Number(DType::F32) => Precision::Single,
        Element::Number(DType::F64) => Precision::Double,
        _ => {
            return Err(PiError::Unsupported {
                what: format!("{} of another type than float and double", what()),
                next: "export it with FloatTensorType or DoubleTensorType".to_owned(),
            });
        }
    };
    let declared = match shape.as_deref() {
        Some([_, Dim::Known(columns)]) => Some(*columns),
        _ => None,
    };
    let columns = declared.or_else(|| Some(model.feature_names()?.len() as u64));
    match columns.filter(|columns| (1..=MOST).contains(columns)) {
        Some(columns) => Ok((precision, columns as usize)),
        None => Err(PiError::Model {
            what: what(),
            expected: "the shape [rows, features], with 1 to 65536 features".to_owned(),
            found: format!("{shape:?}"),
        }),
    }
}
