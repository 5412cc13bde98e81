//! Frees CenterFace from the fixed picture size it is shipped with.
//!
//! The file says that pictures are 32 by 32 and come ten at a time, though the network takes any size. It also
//! lists its weights among its inputs, which stops the optimiser from using them as constants. Both are said
//! in the graph's lists of inputs and outputs, so only those are rewritten; nodes and weights stay byte for byte.

use anyhow::{Context, ensure};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

/// Field numbers of ONNX's messages.
const MODEL_GRAPH: u32 = 7;
const GRAPH_INPUT: u32 = 11;
const GRAPH_OUTPUT: u32 = 12;
const GRAPH_VALUE_INFO: u32 = 13;
const VALUE_NAME: u32 = 1;
const VALUE_TYPE: u32 = 2;

/// Of `FLOAT` in ONNX's list of element types.
const FLOAT: i64 = 1;

/// The one input that is a picture.
const PICTURE: &[u8] = b"input.1";

/// Returns `model` with a picture of any size as its only input.
///
/// # Errors
/// When it is no ONNX model, or has no such input.
pub(super) fn free(model: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut freed = Vec::with_capacity(model.len());
    let mut pictures = 0;
    for field in Fields(model) {
        let field = field?;
        if field.number != MODEL_GRAPH {
            freed.extend_from_slice(field.whole);
            continue;
        }
        let mut graph = Vec::with_capacity(field.content.len());
        for part in Fields(field.content) {
            let part = part?;
            match part.number {
                GRAPH_INPUT if name(part.content)? == PICTURE => {
                    pictures += 1;
                    write(&mut graph, GRAPH_INPUT, &picture());
                }
                GRAPH_OUTPUT => write(&mut graph, GRAPH_OUTPUT, &any_shape(name(part.content)?)),
                // Weights listed as inputs, and sizes worked out for the fixed shape.
                GRAPH_INPUT | GRAPH_VALUE_INFO => {}
                _ => graph.extend_from_slice(part.whole),
            }
        }
        write(&mut freed, MODEL_GRAPH, &graph);
    }
    ensure!(pictures == 1, "the model has no input called input.1");
    Ok(freed)
}

/// Describes the picture: `input.1`, float, `[1, 3, height, width]`.
fn picture() -> Vec<u8> {
    let mut shape = Vec::new();
    for dimension in [Ok(1), Ok(3), Err("height"), Err("width")] {
        let mut told = Vec::new();
        match dimension {
            Ok(size) => write_number(&mut told, 1, size),
            Err(name) => write(&mut told, 2, name.as_bytes()),
        }
        write(&mut shape, 1, &told);
    }
    let mut tensor = Vec::new();
    write_number(&mut tensor, 1, FLOAT);
    write(&mut tensor, 2, &shape);
    value(PICTURE, &tensor)
}

/// Describes a float value of unknown shape.
fn any_shape(name: &[u8]) -> Vec<u8> {
    let mut tensor = Vec::new();
    write_number(&mut tensor, 1, FLOAT);
    value(name, &tensor)
}

fn value(name: &[u8], tensor: &[u8]) -> Vec<u8> {
    let mut kind = Vec::new();
    write(&mut kind, 1, tensor);
    let mut value = Vec::new();
    write(&mut value, VALUE_NAME, name);
    write(&mut value, VALUE_TYPE, &kind);
    value
}

fn name(value: &[u8]) -> anyhow::Result<&[u8]> {
    for field in Fields(value) {
        let field = field?;
        if field.number == VALUE_NAME {
            return Ok(field.content);
        }
    }
    Ok(&[])
}

fn write(into: &mut Vec<u8>, number: u32, content: &[u8]) {
    encode_key(number, WireType::LengthDelimited, into);
    encode_varint(content.len() as u64, into);
    into.extend_from_slice(content);
}

fn write_number(into: &mut Vec<u8>, number: u32, value: i64) {
    encode_key(number, WireType::Varint, into);
    encode_varint(value as u64, into);
}

/// A field of a protobuf message: its bytes with and without the key before them.
struct Field<'a> {
    number: u32,
    whole: &'a [u8],
    content: &'a [u8],
}

/// Walks over the fields of a message without understanding them.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = anyhow::Result<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> anyhow::Result<Field<'a>> {
        let mut rest = self.0;
        let (number, kind) = decode_key(&mut rest)?;
        let length = match kind {
            WireType::Varint => {
                let mut after = rest;
                decode_varint(&mut after)?;
                rest.len() - after.len()
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => usize::try_from(decode_varint(&mut rest)?)?,
            WireType::StartGroup | WireType::EndGroup => anyhow::bail!("a group where ONNX has none"),
        };
        let content = rest.get(..length).context("a field that ends after its message")?;
        let header = self.0.len() - rest.len();
        let whole = &self.0[..header + length];
        self.0 = &self.0[header + length..];
        Ok(Field { number, whole, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(message: &[u8]) -> Vec<(u32, Vec<u8>)> {
        Fields(message).map(|f| f.map(|f| (f.number, f.content.to_vec())).unwrap()).collect()
    }

    #[test]
    fn only_the_picture_stays_an_input_and_the_rest_is_untouched() {
        let mut graph = Vec::new();
        write(&mut graph, 1, b"a node");
        write(&mut graph, GRAPH_INPUT, &value(b"weight", b""));
        write(&mut graph, GRAPH_INPUT, &value(PICTURE, b"fixed"));
        write(&mut graph, GRAPH_VALUE_INFO, &value(b"between", b"fixed"));
        write(&mut graph, 5, b"weights");
        let mut model = Vec::new();
        write_number(&mut model, 1, 9);
        write(&mut model, MODEL_GRAPH, &graph);

        let freed = fields(&free(&model).unwrap());
        assert_eq!(freed[0], (1, vec![9]));
        let expected = vec![(1, b"a node".to_vec()), (GRAPH_INPUT, picture()), (5, b"weights".to_vec())];
        assert_eq!(fields(&freed[1].1), expected);
    }

    #[test]
    fn what_is_no_model_is_an_error() {
        assert!(free(b"").is_err());
        assert!(free(&[0x3a, 0x7f, 1]).is_err());
        assert!(free(b"<html>").is_err());
    }
}
