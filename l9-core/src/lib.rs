//! L9 core: runs, journal, driver, governor, agents.
