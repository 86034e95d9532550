//! The tool that reads the databases of the settings, where this build has any kind of them.

use l9_core::Result;
use l9_tools::registry::Registry;

use crate::settings::Settings;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn register(registry: &Registry, settings: &Settings) -> Result<()> {
    registry.register_native(l9_tools::builtin::sql::sql_query(&settings.databases)?)?;
    Ok(())
}

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
pub(crate) fn register(_: &Registry, _: &Settings) -> Result<()> {
    Ok(())
}
