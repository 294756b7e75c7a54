//! ONNX messages (`onnx.proto3`, IR version 8), built node by node.

use crate::error::OnnxError;
use crate::wire::Message;

/// Version of the intermediate representation: that of ONNX 1.12, the first with operator set 17.
const IR_VERSION: i64 = 8;
/// Version of the operators.
const OPERATOR_SET: i64 = 17;
/// Most bytes of a message that every reader takes.
pub(crate) const MOST_BYTES: u64 = i32::MAX as u64;
/// The name of the free dimension.
const BATCH: &str = "batch";
/// The program that makes the files.
const PRODUCER: &str = "lsoftmax";

/// The types of values that a file here has, by their numbers in `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    F32 = 1,
    U8 = 2,
    I64 = 7,
}

/// An attribute of a node.
pub(crate) enum Attribute<'a> {
    Int(&'a str, i64),
    Ints(&'a str, &'a [usize]),
}

/// A graph under construction. A value is named by the node that makes it.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: Message,
    initialisers: Message,
    inputs: Message,
    outputs: Message,
}

impl Graph {
    /// Adds a node with one output, and names that.
    pub(crate) fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        attributes: &[Attribute<'_>],
    ) -> String {
        self.node_of_several(operator, name, inputs, attributes, &[name]);
        name.to_owned()
    }

    /// Adds a node with these outputs.
    pub(crate) fn node_of_several(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        attributes: &[Attribute<'_>],
        outputs: &[&str],
    ) {
        let mut node = Message::default();
        for input in inputs {
            node.text(1, input);
        }
        for output in outputs {
            node.text(2, output);
        }
        node.text(3, name);
        node.text(4, operator);
        for attribute in attributes {
            node.message(5, &attribute.message());
        }
        self.nodes.message(1, &node);
    }

    /// Adds a constant of f32, and names it.
    ///
    /// # Errors
    /// A number that is not finite.
    pub(crate) fn floats(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[f32],
    ) -> Result<String, OnnxError> {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            return Err(OnnxError::NotFinite {
                name: name.to_owned(),
                place,
                found: values[place],
            });
        }
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.initialiser(name, Type::F32, shape, &bytes);
        Ok(name.to_owned())
    }

    /// Adds a constant of integers of one dimension, and names it.
    pub(crate) fn ints(&mut self, name: &str, values: &[i64]) -> String {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.initialiser(name, Type::I64, &[values.len()], &bytes);
        name.to_owned()
    }

    fn initialiser(&mut self, name: &str, kind: Type, shape: &[usize], bytes: &[u8]) {
        let mut tensor = Message::default();
        for &size in shape {
            tensor.int(1, size as i64);
        }
        tensor.int(2, kind as i64);
        tensor.text(8, name);
        tensor.bytes(9, bytes);
        self.initialisers.message(5, &tensor);
    }

    /// Adds an input `[batch, ...]`.
    pub(crate) fn input(&mut self, name: &str, kind: Type, shape: &[usize], about: &str) {
        self.inputs.message(11, &value(name, kind, shape, about));
    }

    /// Adds an output of f32, `[batch, size]`.
    pub(crate) fn output(&mut self, name: &str, size: usize, about: &str) {
        self.outputs
            .message(12, &value(name, Type::F32, &[size], about));
    }

    /// The file.
    ///
    /// # Errors
    /// More bytes than the format has room for.
    pub(crate) fn finish(
        self,
        name: &str,
        about: &str,
        metadata: &[(String, String)],
    ) -> Result<Vec<u8>, OnnxError> {
        let mut model = start();
        model.text(3, env!("CARGO_PKG_VERSION"));
        model.text(6, about);
        let mut operators = Message::default();
        // The operators of ONNX itself have no domain.
        operators.text(1, "");
        operators.int(2, OPERATOR_SET);
        model.message(8, &operators);
        for (key, value) in metadata {
            let mut entry = Message::default();
            entry.text(1, key);
            entry.text(2, value);
            model.message(14, &entry);
        }
        let mut graph_name = Message::default();
        graph_name.text(2, name);
        let parts = [
            graph_name,
            self.nodes,
            self.initialisers,
            self.inputs,
            self.outputs,
        ];
        let graph: usize = parts.iter().map(Message::len).sum();
        // With the tag and the length of the graph.
        let bytes = (model.len() + graph + 16) as u64;
        if bytes > MOST_BYTES {
            return Err(OnnxError::TooLarge {
                bytes,
                most: MOST_BYTES,
            });
        }
        model.message_of(7, &parts);
        Ok(model.into_bytes())
    }
}

/// The fields that every file begins with.
fn start() -> Message {
    let mut model = Message::default();
    model.int(1, IR_VERSION);
    model.text(2, PRODUCER);
    model
}

/// Whether a file that begins with these bytes was made by this program; 64 bytes are enough.
pub fn is_own(bytes: &[u8]) -> bool {
    bytes.starts_with(&start().into_bytes())
}

/// The description of an input or output: `ValueInfoProto`.
fn value(name: &str, kind: Type, sizes: &[usize], about: &str) -> Message {
    let mut shape = Message::default();
    let mut batch = Message::default();
    batch.text(2, BATCH);
    shape.message(1, &batch);
    for &size in sizes {
        let mut dimension = Message::default();
        dimension.int(1, size as i64);
        shape.message(1, &dimension);
    }
    let mut tensor = Message::default();
    tensor.int(1, kind as i64);
    tensor.message(2, &shape);
    let mut of_type = Message::default();
    of_type.message(1, &tensor);
    let mut value = Message::default();
    value.text(1, name);
    value.message(2, &of_type);
    value.text(3, about);
    value
}

impl Attribute<'_> {
    fn message(&self) -> Message {
        let mut attribute = Message::default();
        // The numbers of `AttributeProto.AttributeType`.
        let kind = match *self {
            Self::Int(name, value) => {
                attribute.text(1, name);
                attribute.int(3, value);
                2
            }
            Self::Ints(name, values) => {
                attribute.text(1, name);
                for &value in values {
                    attribute.int(8, value as i64);
                }
                7
            }
        };
        attribute.int(20, kind);
        attribute
    }
}
