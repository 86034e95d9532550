//! Files and folders into memories.
