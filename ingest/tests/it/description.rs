//! The description of the API changes only on purpose.

#[test]
fn the_description_is_as_agreed() {
    let description = serde_json::to_value(ingest::openapi()).expect("JSON");
    insta::assert_json_snapshot!(description);
}
