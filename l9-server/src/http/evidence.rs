//! Checkpoints, proofs and evidence bundles, for whoever checks this log from outside.

use axum::Json as Reply;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use l9::audit::Proof;
use l9::digest::Digest;
use l9::evidence::{Checkpoint, SignedCheckpoint};
use l9::id::RunId;
use l9::principal::Role;
use l9::time::Timestamp;
use l9::{Error, ErrorKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::app::App;
use super::body::{Params, Segment};
use super::media::Media;
use super::openapi::Operation;
use super::problem::Problem;
use super::routes::Routes;
use crate::auth::Caller;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(
            Operation::get(
                "/audit/checkpoint",
                Access::Needs(Role::Viewer),
                "The newest signed checkpoint of the tree over all records",
            )
            .answers::<CheckpointShown>(200, "The checkpoint"),
            checkpoint,
        )
        .add(
            Operation::get("/audit/proof", Access::Needs(Role::Viewer), "Proves that a record is in the tree")
                .query::<ProofAsked>()
                .answers::<ProofShown>(200, "The proof, against the newest checkpoint"),
            proof,
        )
        .add(
            Operation::get(
                "/audit/evidence/{run}",
                Access::Needs(Role::Viewer),
                "The evidence of a run, for `l9-verify`",
            )
            .producing(&[Media::JsonLines])
            .query::<EvidenceAsked>()
            .answers_plainly(200, "The bundle, as docs/evidence-format.md describes it"),
            evidence,
        )
}

/// A checkpoint.
#[derive(Debug, Serialize, JsonSchema)]
struct CheckpointShown {
    /// The log.
    origin: String,
    /// How many records it covers.
    size: u64,
    /// The root over them.
    root: Digest,
    /// When it was signed.
    at: Timestamp,
    /// What was signed, with its signature.
    note: String,
    /// The key that verifies it. Take it from elsewhere before you trust it.
    vkey: String,
}

/// Which record.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProofAsked {
    /// The run.
    run: RunId,
    /// The record's seq.
    seq: u64,
    /// An older size of the tree: the proof shows that today's begins with it.
    from: Option<u64>,
}

/// A proof.
#[derive(Debug, Serialize, JsonSchema)]
struct ProofShown {
    /// The run.
    run_id: RunId,
    /// The record's seq.
    seq: u64,
    /// The record's hash.
    record: Digest,
    /// SHA-256 over a zero byte and the record's hash.
    leaf_hash: Digest,
    /// The record's place in the tree.
    leaf: u64,
    /// The hashes from the leaf up (RFC 9162 section 2.1.3).
    inclusion: Vec<Digest>,
    /// That the tree begins with an older one, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    consistency: Option<ConsistencyShown>,
    /// What it is proved against.
    checkpoint: CheckpointShown,
}

/// That a tree begins with an older one.
#[derive(Debug, Serialize, JsonSchema)]
struct ConsistencyShown {
    /// The older tree's size.
    from: u64,
    /// The older tree's root.
    root: Digest,
    /// The hashes (RFC 9162 section 2.1.4).
    hashes: Vec<Digest>,
}

/// What the bundle is to prove besides.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EvidenceAsked {
    /// An older size of the tree from which the bundle has a proof; the newest checkpoints'
    /// if absent.
    from: Option<u64>,
}

impl CheckpointShown {
    async fn of(app: &App, signed: SignedCheckpoint) -> Result<Self, Problem> {
        let vkey = app.runtime().audit().key().await?.to_string();
        let SignedCheckpoint { checkpoint: Checkpoint { origin, size, root, at, .. }, note } = signed;
        Ok(Self { origin, size, root, at, note, vkey })
    }
}

async fn checkpoint(State(app): State<App>) -> Result<Reply<CheckpointShown>, Problem> {
    let newest = app.runtime().audit().checkpoint().await?;
    let newest =
        newest.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no checkpoint before the first run"))?;
    Ok(Reply(CheckpointShown::of(&app, newest).await?))
}

async fn proof(
    State(app): State<App>,
    caller: Caller,
    Params(asked): Params<ProofAsked>,
) -> Result<Reply<ProofShown>, Problem> {
    let ProofAsked { run, seq, from } = asked;
    let proof = app.runtime().audit().proof(&caller.principal.tenant, run, seq, from).await?;
    let Proof { record, leaf_hash, inclusion, consistency, checkpoint, .. } = proof;
    Ok(Reply(ProofShown {
        run_id: run,
        seq,
        record,
        leaf_hash,
        leaf: inclusion.leaf,
        inclusion: inclusion.hashes,
        consistency: consistency.map(|proof| ConsistencyShown {
            from: proof.from,
            root: proof.root,
            hashes: proof.hashes,
        }),
        checkpoint: CheckpointShown::of(&app, checkpoint).await?,
    }))
}

async fn evidence(
    State(app): State<App>,
    caller: Caller,
    Segment(run): Segment,
    Params(asked): Params<EvidenceAsked>,
) -> Result<Response, Problem> {
    let run = App::run_id(&run)?;
    let from: Vec<u64> = asked.from.into_iter().collect();
    let bundle = app.runtime().audit().export(&caller.principal.tenant, run, &from).await?;
    let headers = [
        (CONTENT_TYPE, Media::JsonLines.content_type().to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{run}.evidence\"")),
    ];
    Ok((headers, bundle.bytes).into_response())
}
