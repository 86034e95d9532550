//! Documents and the manifests that are made of them.

use super::*;
use l9_core::tool::{EffectClass, Inject};

fn document(paths: &Value) -> Value {
    json!({
        "openapi": "3.1.0", "info": {"title": "Pet Store", "version": "2.1.0"},
        "servers": [{"url": "https://pets.example.com:8443/v1/"}],
        "paths": paths,
        "components": {
            "schemas": {
                "Pet": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "owner": {"$ref": "#/components/schemas/Owner"}}},
                "Owner": {"type": "object", "properties": {"mail": {"type": "string"}}},
                "Tree": {"type": "object", "properties": {"below": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}}},
            },
            "parameters": {"Limit": {"name": "limit", "in": "query", "schema": {"type": "integer"}}},
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
                "Query": {"type": "apiKey", "in": "query", "name": "key"},
                "Token": {"type": "http", "scheme": "bearer"},
                "Cookie": {"type": "apiKey", "in": "cookie", "name": "session"},
            },
        },
    })
}

fn imported(paths: &Value) -> Imported {
    import(&document(paths), &Options::default()).unwrap()
}

fn body(schema: &str) -> Value {
    json!({"required": true, "content": {"application/json": {"schema": {"$ref": schema}}}})
}

/// The one tool of one operation.
fn one(method: &str, path: &str, operation: &Value) -> (Manifest, Vec<Warning>) {
    let Imported { mut tools, warnings } = imported(&json!({ path: { method: operation } }));
    assert_eq!(tools.len(), 1, "{warnings:?}");
    (tools.remove(0), warnings)
}

#[test]
fn an_operation_becomes_a_whole_manifest() {
    let operation = json!({
        "operationId": "updatePet", "summary": "Update a pet", "description": "Changes what is known of a pet.",
        "parameters": [
            {"name": "pet-id", "in": "path", "required": true, "description": "Which", "schema": {"type": "string"}},
            {"$ref": "#/components/parameters/Limit"},
            {"name": "X-Lang", "in": "header", "schema": {"type": "string"}},
        ],
        "requestBody": body("#/components/schemas/Pet"),
        "security": [{"Cookie": []}, {"ApiKey": []}],
    });
    let (tool, warnings) = one("put", "/pets/{pet-id}/notes", &operation);
    assert_eq!(warnings, []);
    let tool = serde_json::to_value(&tool).unwrap();
    assert_eq!((tool["id"].as_str(), tool["version"].as_str()), (Some("pet-store/update-pet"), Some("2.1.0")));
    assert_eq!(
        tool["runtime"],
        json!({
            "kind": "http", "method": "PUT", "url": "https://pets.example.com:8443/v1/pets/{pet-id}/notes",
            "headers": {"X-Lang": "{X-Lang}"}, "query": {"limit": "{limit}"}, "body": "{body}",
        })
    );
    let owner = json!({"type": "object", "properties": {"mail": {"type": "string"}}});
    let pet =
        json!({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "owner": owner}});
    assert_eq!(
        tool["input_schema"],
        json!({
            "type": "object", "required": ["pet-id", "body"], "additionalProperties": false,
            "properties": {"pet-id": {"type": "string", "description": "Which"}, "limit": {"type": "integer"}, "X-Lang": {"type": "string"}, "body": pet},
        })
    );
    assert_eq!(tool["args"], json!({"": {"role": "target"}}));
    assert_eq!((tool["effect"].as_str(), tool["destructive"].as_bool()), (Some("keyed_write"), Some(false)));
    let net = &tool["net"][0];
    assert_eq!(
        (net["host"].as_str(), net["port"].as_u64(), net["path_prefix"].as_str()),
        (Some("pets.example.com"), Some(8443), Some("/v1/pets"))
    );
    assert_eq!(
        tool["secrets"],
        json!([{"handle": "pet-store-api-key", "audience": "pets.example.com", "inject": {"header": "X-Api-Key"}}])
    );
}

#[test]
fn what_a_parameter_may_be_and_is_without_a_value_is_kept() {
    let sort = json!({"type": "string", "enum": ["name", "age"], "default": "name"});
    for version in ["3.0.3", "3.1.0"] {
        let parameters = json!([
            {"name": "sort", "in": "query", "schema": sort},
            {"name": "kind", "in": "path", "required": true, "schema": {"enum": ["cat", "dog"]}},
            {"name": "X-Order", "in": "header", "schema": {"$ref": "#/components/schemas/Order"}},
            {"$ref": "#/components/parameters/Size"},
        ]);
        let mut document =
            document(&json!({"/pets/{kind}": {"get": {"operationId": "list", "parameters": parameters}}}));
        document["openapi"] = json!(version);
        document["components"]["schemas"]["Order"] = json!({"type": "string", "enum": ["up", "down"], "default": "up"});
        document["components"]["parameters"]["Size"] =
            json!({"name": "size", "in": "query", "schema": {"type": "integer", "enum": [10, 50], "default": 10}});
        let Imported { tools, warnings } = import(&document, &Options::default()).unwrap();
        assert_eq!((tools.len(), warnings.as_slice()), (1, &[][..]));
        let properties = &tools[0].input_schema["properties"];
        assert_eq!(properties["sort"], sort);
        assert_eq!(properties["kind"], json!({"enum": ["cat", "dog"]}));
        assert_eq!(properties["X-Order"], json!({"type": "string", "enum": ["up", "down"], "default": "up"}));
        assert_eq!(properties["size"], json!({"type": "integer", "enum": [10, 50], "default": 10}));
    }
}

#[test]
fn what_stands_beside_a_reference_does_not_make_it_a_list() {
    let color = json!({"type": "string", "enum": ["red", "blue"]});
    let get = |beside: &Value| {
        let mut schema = json!({"$ref": "#/components/schemas/Color"});
        schema.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
        let parameters = json!([
            {"name": "in", "in": "path", "required": true, "schema": schema},
            {"name": "of", "in": "query", "required": true, "schema": schema},
        ]);
        json!({"/pets/{in}": {"get": {"operationId": "it", "parameters": parameters}}})
    };
    for beside in [json!({"default": "red"}), json!({"description": "Which"}), json!({"example": "red"})] {
        let mut document = document(&get(&beside));
        document["components"]["schemas"]["Color"] = color.clone();
        let Imported { tools, warnings } = import(&document, &Options::default()).unwrap();
        assert_eq!((tools.len(), warnings.as_slice()), (1, &[][..]), "{beside}");
        assert_eq!(tools[0].input_schema["properties"]["of"]["allOf"][0], color);
        assert_eq!(tools[0].input_schema["properties"]["in"]["allOf"][0], color);
    }
    let list = json!({"type": "array", "items": {"type": "string"}});
    for of in [list.clone(), json!({"anyOf": [color, list]}), json!({"description": "Anything"})] {
        let parameter = json!({"name": "of", "in": "query", "schema": {"allOf": [of, {"default": "red"}]}});
        let (tool, warnings) = one("get", "/pets", &json!({"operationId": "it", "parameters": [parameter]}));
        assert_eq!((&tool.input_schema["properties"], warnings.len()), (&json!({}), 1), "{of}");
        assert!(warnings[0].what.contains("the parameter of may be a list or an object"), "{warnings:?}");
    }
}

#[test]
fn what_an_operation_does_follows_from_its_method() {
    let key = json!({"name": "Idempotency-Key", "in": "header", "required": true, "schema": {"type": "string"}});
    for (method, parameters, effect, destructive) in [
        ("get", json!([]), EffectClass::Read, false),
        ("head", json!([]), EffectClass::Read, false),
        ("post", json!([]), EffectClass::OpaqueWrite, false),
        ("patch", json!([]), EffectClass::OpaqueWrite, false),
        ("post", json!([key]), EffectClass::KeyedWrite, false),
        ("put", json!([]), EffectClass::KeyedWrite, false),
        ("delete", json!([]), EffectClass::KeyedWrite, true),
    ] {
        let (tool, _) = one(method, "/pets", &json!({"operationId": "it", "parameters": parameters}));
        assert_eq!((tool.effect, tool.destructive), (effect, destructive), "{method}");
        assert_eq!(tool.input_schema["properties"], json!({}), "the key is the host's");
    }
}

#[test]
fn what_cannot_be_expressed_is_told_with_its_place() {
    let list = json!({"type": "array", "items": {"type": "string"}});
    let (tool, warnings) = one(
        "post",
        "/pets",
        &json!({
            "operationId": "add",
            "parameters": [
                {"name": "tags", "in": "query", "schema": list},
                {"name": "session", "in": "cookie", "schema": {"type": "string"}},
                {"name": "X-Forwarded-For", "in": "header", "schema": {"type": "string"}},
                {"name": "filter[name]", "in": "query", "schema": {"type": "string"}},
                {"name": "deep", "in": "query", "schema": {"$ref": "#/components/schemas/Tree"}},
            ],
            "requestBody": {"content": {"multipart/form-data": {"schema": {"type": "object"}}}},
            "callbacks": {"done": {}}, "deprecated": true, "security": [{"Token": []}],
        }),
    );
    let at = |place: &str| warnings.iter().filter(|told| told.place.starts_with(place)).count();
    for place in [
        "/paths/~1pets/post/parameters/0",
        "/paths/~1pets/post/parameters/1",
        "/paths/~1pets/post/parameters/2",
        "/paths/~1pets/post/parameters/3",
        "/components/schemas/Tree/properties/below/items",
        "/paths/~1pets/post/requestBody/content",
        "/paths/~1pets/post/callbacks",
        "/components/securitySchemes/Token",
    ] {
        assert_eq!(at(place), 1, "{place} {warnings:#?}");
    }
    assert_eq!(warnings.len(), 9, "{warnings:#?}");
    let runtime = serde_json::to_value(&tool.runtime).unwrap();
    assert_eq!(runtime["body"], json!({}), "without one every argument would be sent");
    assert_eq!(tool.input_schema["properties"], json!({"filter_name_": {"type": "string"}}));
    assert!(matches!(&tool.secrets[0].inject, Inject::Header(name) if name == "authorization"));
}

#[test]
fn an_operation_that_needs_what_cannot_be_is_left_out_and_told() {
    for (operation, place) in [
        (
            json!({"parameters": [{"name": "c", "in": "cookie", "required": true, "schema": {}}]}),
            "/paths/~1pets/post/parameters/0",
        ),
        (json!({"requestBody": body("#/components/schemas/Tree")}), "/components/schemas/Tree/properties/below/items"),
        (
            json!({"requestBody": body("other.yaml#/Pet")}),
            "/paths/~1pets/post/requestBody/content/application~1json/schema",
        ),
        (
            json!({"requestBody": {"required": true, "content": {"text/csv": {}}}}),
            "/paths/~1pets/post/requestBody/content",
        ),
        (json!({"security": [{"Cookie": []}]}), "/paths/~1pets/post/security/0"),
        (json!({"security": [{"None": []}]}), "/paths/~1pets/post/security/0"),
    ] {
        let Imported { tools, warnings } = imported(&json!({"/pets": {"post": operation}, "/owners": {"get": {}}}));
        assert_eq!(tools.len(), 1, "the other one is imported: {warnings:?}");
        let told = warnings.iter().find(|told| told.place == place).unwrap_or_else(|| panic!("{place} {warnings:#?}"));
        assert!(told.what.contains("the operation post /pets is left out"), "{told:?}");
    }
}

#[test]
fn a_form_that_needs_members_is_not_sent_without_them() {
    let imported = |method: &str, schema: &Value| {
        let content = json!({"application/x-www-form-urlencoded": {"schema": schema}});
        let mut document = document(&json!({"/pets": {method: {"requestBody": {"content": content}}}}));
        document["components"]["schemas"]["Form"] = json!({"type": "object", "required": ["To"]});
        import(&document, &Options::default()).unwrap()
    };
    let form = json!({"$ref": "#/components/schemas/Form"});
    for schema in [
        json!({"type": "object", "required": ["To"], "properties": {"To": {"type": "string"}}}),
        json!({"type": "object", "minProperties": 1}),
        json!({"allOf": [{"type": "object"}, form]}),
        json!({"oneOf": [form, {"type": "object", "required": ["From"]}]}),
        form.clone(),
        json!({"$ref": "#/components/schemas/Tree"}),
    ] {
        for method in ["post", "put", "patch", "delete"] {
            let Imported { tools, warnings } = imported(method, &schema);
            assert!(tools.is_empty(), "{method} {schema}");
            assert!(warnings[0].what.ends_with(&format!(": the operation {method} /pets is left out")), "{warnings:?}");
        }
        assert_eq!(imported("get", &schema).tools.len(), 1, "a body is nothing that is read needs");
    }
    for schema in [
        json!({"type": "object", "properties": {"To": {"type": "string"}}}),
        json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "readOnly": true}}}),
        json!({"anyOf": [form, {"type": "object"}]}),
        json!({"type": "object", "properties": {"to": form}}),
    ] {
        let Imported { tools, warnings } = imported("post", &schema);
        assert_eq!((tools.len(), warnings.len()), (1, 1), "{schema} {warnings:?}");
        assert_eq!(warnings[0].what, "a body other than JSON cannot be sent");
    }
    let told = &imported("post", &form).warnings[0];
    assert_eq!(told.place, "/paths/~1pets/post/requestBody/content/application~1x-www-form-urlencoded/schema");
    assert!(told.what.contains("one of \"application/x-www-form-urlencoded\" must not be empty"), "{told:?}");
}

#[test]
fn an_operation_of_another_server_is_left_out() {
    let other = json!([{"url": "https://{region}.files.example.com/", "variables": {"region": {"default": "eu"}}}]);
    let same = json!([{"url": "https://else.example.com"}, {"url": "https://pets.example.com:8443/v1"}]);
    let secret = json!([{"ApiKey": []}]);
    let document = document(&json!({
        "/files": {
            "servers": other, "post": {"operationId": "upload", "security": secret}, "get": {"operationId": "load", "servers": []},
            "put": {"operationId": "replace", "servers": same},
        },
        "/pets": {"get": {"operationId": "export", "servers": other, "security": secret}, "head": {"operationId": "look"}},
    }));
    let import = |server: Option<&str>| {
        let Imported { tools, warnings } =
            import(&document, &Options { server: server.map(str::to_owned), ..Options::default() }).unwrap();
        let hosts: BTreeSet<(String, String)> =
            tools.iter().map(|tool| (tool.id.to_string(), tool.net[0].host.clone())).collect();
        (hosts, warnings)
    };
    let of = |host: &str, names: &[&str]| -> BTreeSet<(String, String)> {
        names.iter().map(|name| (format!("pet-store/{name}"), host.to_owned())).collect()
    };
    let (hosts, warnings) = import(None);
    assert_eq!(hosts, of("pets.example.com", &["replace", "look"]));
    for (place, id) in [
        ("/paths/~1files/servers", "upload"),
        ("/paths/~1files/servers", "load"),
        ("/paths/~1pets/get/servers", "export"),
    ] {
        let what = format!(
            "its server is \"https://eu.files.example.com\", not \"https://pets.example.com:8443/v1\": \
             write its whole address here, and import the operation by itself with that as --server: \
             the operation {id} is left out"
        );
        assert!(warnings.contains(&warning(place, what)), "{warnings:#?}");
    }
    let (hosts, _) = import(Some("https://eu.files.example.com/"));
    assert_eq!(hosts, of("eu.files.example.com", &["upload", "load", "replace", "export", "look"]));
    let (hosts, _) = import(Some("http://127.0.0.1:8000"));
    assert_eq!(hosts, of("127.0.0.1", &["replace", "look"]), "what is given stands for the document's own server");
}

#[test]
fn a_way_in_with_secrets_comes_before_the_one_without() {
    let imported = |ways: Value| {
        let (tool, warnings) = one("get", "/pets", &json!({"operationId": "list", "security": ways}));
        let handles: Vec<String> = tool.secrets.into_iter().map(|secret| secret.handle).collect();
        (handles, warnings)
    };
    let optional =
        |place: &str| warning(place, "works without a secret as well: to do so, take secrets out of the manifest");
    for (ways, handle, open) in [
        (json!([{}, {"ApiKey": []}]), "pet-store-api-key", "/paths/~1pets/get/security/0"),
        (json!([{"ApiKey": []}, {}]), "pet-store-api-key", "/paths/~1pets/get/security/1"),
        (json!([{}, {"Cookie": []}, {"Query": []}]), "pet-store-query", "/paths/~1pets/get/security/0"),
    ] {
        let (handles, warnings) = imported(ways);
        assert_eq!((handles, warnings), (vec![handle.to_owned()], vec![optional(open)]));
    }
    let (handles, warnings) = imported(json!([{}, {"Token": []}]));
    assert_eq!(handles, ["pet-store-token"]);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for ways in [json!([{"Cookie": []}, {}]), json!([{"ApiKey": [], "Cookie": []}, {}])] {
        let (handles, warnings) = imported(ways);
        assert_eq!((handles.len(), warnings.len()), (0, 1), "{warnings:?}");
        assert_eq!(warnings[0].place, "/paths/~1pets/get/security/0");
        assert!(warnings[0].what.contains("a key in a cookie cannot be expressed"), "{warnings:?}");
    }
    for ways in [json!([{}]), json!([])] {
        assert_eq!(imported(ways), (Vec::new(), Vec::new()));
    }
}

#[test]
fn what_only_the_service_writes_is_no_input() {
    let id = json!({"type": "string", "readOnly": true});
    let mut document =
        document(&json!({"/pets": {"post": {"operationId": "add", "requestBody": body("#/components/schemas/New")}}}));
    document["components"]["schemas"] = json!({
        "Id": id,
        "Base": {
            "type": "object", "required": ["id", "made"],
            "properties": {"id": {"$ref": "#/components/schemas/Id"}, "made": {"allOf": [{"type": "string"}, {"readOnly": true}]}},
        },
        "New": {"allOf": [
            {"$ref": "#/components/schemas/Base"},
            {
                "type": "object", "required": ["id", "name", "tags"], "dependentRequired": {"name": ["id", "tags"]},
                "properties": {
                    "name": {"type": "string"}, "readOnly": {"type": "boolean"},
                    "tags": {"type": "array", "items": {"type": "object", "required": ["id", "word"], "properties": {"id": id, "word": {"type": "string", "default": {"readOnly": true}}}}},
                },
            },
        ]},
    });
    let tag = json!({"type": "object", "required": ["word"], "properties": {"word": {"type": "string", "default": {"readOnly": true}}}});
    for version in ["3.0.3", "3.1.0"] {
        document["openapi"] = json!(version);
        let tool = &import(&document, &Options::default()).unwrap().tools[0];
        assert_eq!(
            tool.input_schema["properties"]["body"],
            json!({"allOf": [
                {"type": "object", "required": [], "properties": {}},
                {
                    "type": "object", "required": ["name", "tags"], "dependentRequired": {"name": ["tags"]},
                    "properties": {"name": {"type": "string"}, "readOnly": {"type": "boolean"}, "tags": {"type": "array", "items": tag}},
                },
            ]})
        );
    }
    document["openapi"] = json!("3.0.3");
    document["components"]["schemas"]["New"] = json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "readOnly": true, "nullable": true}}});
    let tool = &import(&document, &Options::default()).unwrap().tools[0];
    assert_eq!(tool.input_schema["properties"]["body"], json!({"type": "object", "required": [], "properties": {}}));
}

#[test]
fn a_style_that_is_not_sent_is_told() {
    let imported = |within: &str, style: &str, required: bool| {
        let parameter =
            json!({"name": "id", "in": within, "style": style, "required": required, "schema": {"type": "string"}});
        let path = if within == "path" { "/pets/{id}" } else { "/pets" };
        imported(&json!({path: {"get": {"operationId": "it", "parameters": [parameter]}}}))
    };
    for (within, style) in [("path", "simple"), ("query", "form"), ("header", "simple")] {
        let Imported { tools, warnings } = imported(within, style, true);
        assert_eq!((tools.len(), warnings.len()), (1, 0), "{within} {style}");
    }
    for (within, style) in
        [("path", "matrix"), ("path", "label"), ("query", "deepObject"), ("query", "pipeDelimited"), ("header", "form")]
    {
        let Imported { tools, warnings } = imported(within, style, true);
        let told = &warnings[0].what;
        assert!(
            tools.is_empty() && told.contains(&format!("the parameter id has the style \"{style}\", and only")),
            "{told}"
        );
        assert!(told.ends_with("the operation it is left out"), "{told}");
    }
    let Imported { tools, warnings } = imported("query", "deepObject", false);
    assert_eq!((&tools[0].input_schema["properties"], warnings.len()), (&json!({}), 1), "{warnings:?}");
}

#[test]
fn schemas_of_3_0_become_those_of_json_schema() {
    let mut document = document(&json!({"/a": {"get": {"operationId": "a", "parameters": [
        {"name": "n", "in": "query", "schema": {"type": "integer", "nullable": true, "minimum": 0, "exclusiveMinimum": true, "maximum": 9, "exclusiveMaximum": false}},
    ]}}}));
    document["openapi"] = json!("3.0.3");
    let tool = &import(&document, &Options::default()).unwrap().tools[0];
    let integer = json!({"type": "integer", "exclusiveMinimum": 0, "maximum": 9});
    assert_eq!(tool.input_schema["properties"]["n"], json!({"anyOf": [integer, {"type": "null"}]}));
}

#[test]
fn a_document_needs_a_version_that_is_known_and_a_server() {
    let import = |document: &Value, options: &Options| {
        import(document, options).map(|found| found.tools.len()).map_err(|error| error.to_string())
    };
    let mut document = document(&json!({"/a": {"get": {"operationId": "a"}}, "/b": {"get": {"operationId": "b"}}}));
    let only = |id: &str| Options { operations: vec![id.into()], ..Options::default() };
    assert_eq!(import(&document, &only("b")), Ok(1));
    assert!(import(&document, &only("c")).unwrap_err().contains("there is no operation c: there are a, b"));
    document.as_object_mut().unwrap().remove("servers");
    assert!(import(&document, &Options::default()).unwrap_err().contains("--server"));
    let server = Options { server: Some("http://127.0.0.1:8000".into()), ..Options::default() };
    assert_eq!(import(&document, &server), Ok(2));
    document["openapi"] = json!("2.0");
    assert!(import(&document, &server).unwrap_err().contains("3.0 or 3.1"));
}

#[test]
fn yaml_is_read_as_json_is() {
    let yaml = "openapi: 3.1.0\ninfo: {title: T, version: 1.0.0}\npaths: {}\n";
    assert_eq!(
        super::super::read(yaml).unwrap(),
        json!({"openapi": "3.1.0", "info": {"title": "T", "version": "1.0.0"}, "paths": {}})
    );
    assert!(super::super::read("{\"a\": 1, \"a\": 2}").is_err());
}
