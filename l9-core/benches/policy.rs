//! What policy costs: the input schema's part is measured where it is compiled; here facts
//! become a verdict, beside raw Cedar on the same policies and entities in the same program.

fn main() {}
