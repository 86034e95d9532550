//! L9 plan: what takes long: task queue and worker.
