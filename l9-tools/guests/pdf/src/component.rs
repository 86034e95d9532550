//! The component's export: hands the call to plain Rust and maps its errors.

mod bindings {
    //! Generated from the WIT world.
    wit_bindgen::generate!({ path: "../../wit", world: "tool" });
}

use bindings::{Call, Fault, Guest};

struct Tool;

impl Guest for Tool {
    fn invoke(call: Call) -> Result<String, Fault> {
        crate::invoke(&call.tool, &call.input).map_err(Fault::InvalidInput)
    }
}

bindings::export!(Tool with_types_in bindings);
