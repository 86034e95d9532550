//! The component's export: JSON in, the tool, JSON out.

mod bindings {
    //! Generated from the WIT world.
    wit_bindgen::generate!({ path: "wit", world: "full" });
}

use bindings::l9::tool::{host, progress};
use bindings::{Call, Fault, Guest};

struct Tool;

impl Guest for Tool {
    fn invoke(call: Call) -> Result<String, Fault> {
        // A component may hold several tools: tell them apart by `call.tool`.
        if call.tool != "my/greet" {
            return Err(Fault::InvalidInput(format!("no tool named {} in this component", call.tool)));
        }
        host::log(host::Level::Info, "somebody is greeted");
        let input = serde_json::from_str(&call.input).map_err(|error| Fault::InvalidInput(error.to_string()))?;
        let output = crate::greet(&input).map_err(Fault::InvalidInput)?;
        progress::show("the greeting is ready");
        serde_json::to_string(&output).map_err(|error| Fault::Failed(error.to_string()))
    }
}

bindings::export!(Tool with_types_in bindings);
