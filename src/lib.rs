//! The L9 facade.
