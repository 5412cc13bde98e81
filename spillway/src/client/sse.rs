//! Reads server-sent events out of bytes, however they were cut on the way.

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Its data; lines joined.
    pub data: String,
}

/// Gathers bytes until events are whole.
#[derive(Default)]
pub struct Parser {
    line: Vec<u8>,
    id: Option<String>,
    data: Vec<String>,
}

impl Parser {
    /// Takes some bytes and returns the events they completed.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(&line);
            events.extend(self.take(line.trim_end_matches('\r')));
        }
        events
    }

    /// Takes a line; an empty one ends an event.
    fn take(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let (id, data) = (self.id.take(), std::mem::take(&mut self.data));
            return (!data.is_empty()).then(|| Event { id, data: data.join("\n") });
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.id = Some(value.to_owned()),
            "data" => self.data.push(value.to_owned()),
            _ => {} // comments keep the connection alive; the name is in the data too
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_any_cut() {
        let text = b": hi\n\nevent: a\nid: 4\ndata: {\"x\":\ndata: 1}\n\ndata:\xc3\xa4\r\n\r\nid: 9\n\n".as_slice();
        let event = |id: Option<&str>, data: &str| Event { id: id.map(str::to_owned), data: data.to_owned() };
        let expected = [event(Some("4"), "{\"x\":\n1}"), event(None, "\u{e4}")];
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let found: Vec<Event> = text.chunks(size).flat_map(|chunk| parser.push(chunk)).collect();
            assert_eq!(found, expected, "cut every {size} bytes");
        }
    }
}
