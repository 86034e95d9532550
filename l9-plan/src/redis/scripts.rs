//! What the server does as one. Every script begins with the same part, which says how tasks
//! are kept.

use redis::Script;

macro_rules! script {
    ($file:literal) => {
        Script::new(concat!(include_str!("scripts/common.lua"), include_str!($file)))
    };
}

/// Every script, its hash made once.
pub(super) struct Scripts {
    pub(super) enqueue: Script,
    pub(super) claim: Script,
    pub(super) finish: Script,
    pub(super) renew: Script,
    pub(super) remove: Script,
    pub(super) depth: Script,
    pub(super) pause: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            enqueue: script!("scripts/enqueue.lua"),
            claim: script!("scripts/claim.lua"),
            finish: script!("scripts/finish.lua"),
            renew: script!("scripts/renew.lua"),
            remove: script!("scripts/remove.lua"),
            depth: script!("scripts/depth.lua"),
            pause: script!("scripts/pause.lua"),
        }
    }
}
