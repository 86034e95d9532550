//! What people see: colours where there is a terminal, plain text everywhere else.

mod answer;
mod paint;
mod progress;
mod quantity;
mod screen;
mod steps;
mod table;

pub(crate) use answer::{Covered, Receipt, show_answer, show_receipt, spending};
pub(crate) use paint::Paint;
pub(crate) use progress::IngestProgress;
pub(crate) use quantity::{clip, count, duration};
pub(crate) use screen::Screen;
pub(crate) use steps::Steps;
pub(crate) use table::Table;
