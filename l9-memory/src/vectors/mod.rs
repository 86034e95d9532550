//! Nearest vectors by cosine similarity: exact integer scans, and sketches that say
//! which rows are worth one. No SQL and no files: what is kept comes in and goes out as
//! bytes that backends seal. Why it is built so: decisions 30, 46 and 48 in `docs/adr`.
//!
//! ```
//! use l9_memory::vectors::{Index, Places};
//!
//! let mut index = Index::new(3)?;
//! for (place, vector) in [[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]].iter().enumerate() {
//!     index.put(place as u32, &index.encode(vector)?)?;
//! }
//! let allowed: Places = [1, 2].into_iter().collect();
//! let found = index.search(&[1.0, 0.1, 0.0], Some(&allowed), 1)?;
//! assert_eq!(found[0].place, 1);
//! # Ok::<(), l9_core::Error>(())
//! ```

mod best;
mod code;
mod index;
mod kernel;
mod places;
mod query;
mod rotation;
mod rows;
mod segment;
#[cfg(target_arch = "x86_64")]
mod wide;

#[cfg(feature = "postgres")]
pub(crate) use code::turned;
pub use code::{Code, MAX_DIMENSIONS};
pub use index::{Index, Near, Way};
pub use places::{MAX_PLACES, Places};
pub use segment::{Segment, Segments};
