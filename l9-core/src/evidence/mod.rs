//! Evidence: what was recorded, so that somebody else can check it. Records in the store
//! are verified; their hashes are the leaves of a Merkle tree whose checkpoints are
//! signed; a bundle carries a run out of the database, and is verified without one.

mod artifacts;
mod bundle;
mod checkpoint;
mod erasure;
mod export;
mod horizon;
mod log;
mod note;
mod proof;
mod records;
mod sequencer;
mod standstill;
mod statement;
mod tile;
mod tool_decision;
mod tree;
mod verify;
mod whole;
mod witness;

pub use bundle::{ArtifactLine, Body, Consistency, FORMAT, Head as BundleHead, RecordLine, RunEnd, encode};
pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use erasure::{Erased, Erasure};
pub use export::{Bundle, export};
pub use horizon::Horizon;
pub use log::{AuditLog, Entry, Extension, Lead, SignedHorizon, Tile};
pub use note::{SigningKey, VerifyingKey};
pub use proof::{ConsistencyProof, InclusionProof, Prover};
pub use records::{Fault, Report, verify, verify_run};
pub use sequencer::{Sequencer, Settings};
pub use standstill::{Standstill, Turn, verify_standstills};
pub use statement::{Order, StatementVerdict, is_statement, verify as verify_statement};
pub use tile::{Edge, TILE, TileId, Tiles};
pub use tool_decision::ToolDecision;
pub use tree::{leaf_hash, node_hash, root_of, root_of_some, verify_consistency, verify_inclusion};
pub use verify::{Finding, Trust, Verdict, verify as verify_bundle};
pub use whole::{TreeReport, verify_tree};
pub use witness::{Witness, inform};
