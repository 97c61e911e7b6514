//! What could be read of a file that is quarantined, for the person who looks at it.

use serde_json::{Map, Value as Json};
use shardex_catalog::{ATTRIBUTES, Header, Value};

/// Values of the headers as a JSON object; `None` where nothing was readable.
pub(crate) fn json(stack: &Header) -> Option<String> {
    let mut object = Map::new();
    let mut header = Some(stack);
    while let Some(level) = header {
        for (id, value) in level.values().entries() {
            let json = match value {
                Value::Text(text) => Json::String(text.to_string()),
                Value::Integer(number) => Json::from(*number),
                Value::Real(number) => Json::from(*number),
            };
            object.insert(ATTRIBUTES[id.index()].keyword.to_owned(), json);
        }
        header = level.parent().map(|parent| &**parent);
    }
    (!object.is_empty()).then(|| Json::Object(object).to_string())
}
