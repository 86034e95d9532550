//! What a connection is allowed, said to SQLite itself: its authorizer is asked about every
//! action of every statement while it is compiled, those of views and triggers included.
//!
//! The one place here that calls SQLite's C functions.
#![expect(
    unsafe_code,
    reason = "sqlx offers neither the authorizer nor the limits of SQLite, nor the names of parameters"
)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{NonNull, null_mut};

use libsqlite3_sys as ffi;

/// The most bytes of one value or row while a statement is carried out.
const VALUE_BYTES: c_int = 16 << 20;

/// What statements may use.
const LIMITS: [(c_int, c_int); 9] = [
    (ffi::SQLITE_LIMIT_LENGTH, VALUE_BYTES),
    (ffi::SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (ffi::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (ffi::SQLITE_LIMIT_COMPOUND_SELECT, 100),
    (ffi::SQLITE_LIMIT_VDBE_OP, 100_000),
    (ffi::SQLITE_LIMIT_ATTACHED, 0),
    (ffi::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
    (ffi::SQLITE_LIMIT_TRIGGER_DEPTH, 0),
    (ffi::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Pragmas that tell something and change nothing, whatever they are given; the last one is
/// what full-text search asks for by itself.
const PRAGMAS: [&CStr; 8] = [
    c"table_info",
    c"table_xinfo",
    c"table_list",
    c"index_list",
    c"index_info",
    c"index_xinfo",
    c"foreign_key_list",
    c"data_version",
];

/// Puts a connection under guard, for good. The caller holds its lock.
///
/// # Errors
/// With SQLite's code, if it does not do so.
pub(super) fn guard(connection: NonNull<ffi::sqlite3>) -> Result<(), c_int> {
    let raw = connection.as_ptr();
    for (limit, most) in LIMITS {
        // SAFETY: the connection is open, and its lock is held.
        unsafe { ffi::sqlite3_limit(raw, limit, most) };
    }
    // Pages written by hand and functions of a forged schema do nothing.
    for (option, value) in [(ffi::SQLITE_DBCONFIG_DEFENSIVE, 1), (ffi::SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)] {
        let (value, told): (c_int, *mut c_int) = (value, null_mut());
        // SAFETY: as above; both options take an int and a pointer, which may be null.
        let code = unsafe { ffi::sqlite3_db_config(raw, option, value, told) };
        if code != ffi::SQLITE_OK {
            return Err(code);
        }
    }
    // SAFETY: as above; the function needs no data of its own and lives for ever.
    let code = unsafe { ffi::sqlite3_set_authorizer(raw, Some(authorize), null_mut()) };
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(code) }
}

/// The names of the parameters of a text's first statement, in the order of their numbers; `?`
/// has none. The caller holds the connection's lock.
///
/// # Errors
/// With SQLite's code, for what is no statement.
pub(super) fn parameters(connection: NonNull<ffi::sqlite3>, sql: &str) -> Result<Vec<Option<String>>, c_int> {
    let length = c_int::try_from(sql.len()).map_err(|_| ffi::SQLITE_TOOBIG)?;
    let mut statement = null_mut();
    // SAFETY: the connection is open, and its lock is held; the text has that length.
    let code = unsafe {
        ffi::sqlite3_prepare_v2(connection.as_ptr(), sql.as_ptr().cast(), length, &raw mut statement, null_mut())
    };
    if code != ffi::SQLITE_OK {
        return Err(code);
    }
    // SAFETY: the statement is this function's own until it is finalized; null has no parameters.
    let count = unsafe { ffi::sqlite3_bind_parameter_count(statement) };
    let name = |at: c_int| {
        // SAFETY: as above; SQLite gives null or a C string that lives as long as the statement.
        let name = unsafe { ffi::sqlite3_bind_parameter_name(statement, at) };
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
    };
    let names = (1..=count).map(name).collect();
    // SAFETY: as above, and nothing of it is used any more.
    unsafe { ffi::sqlite3_finalize(statement) };
    Ok(names)
}

/// Says yes to what reads, and no to everything else.
unsafe extern "C" fn authorize(
    _: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    _: *const c_char,
    _: *const c_char,
) -> c_int {
    let is = |text: *const c_char, name: &CStr| {
        // SAFETY: SQLite gives null or a C string that outlives the call.
        !text.is_null() && unsafe { CStr::from_ptr(text) }.to_bytes().eq_ignore_ascii_case(name.to_bytes())
    };
    let reads = match action {
        ffi::SQLITE_SELECT | ffi::SQLITE_READ | ffi::SQLITE_RECURSIVE => true,
        ffi::SQLITE_FUNCTION => !is(second, c"load_extension"),
        ffi::SQLITE_PRAGMA => PRAGMAS.iter().any(|pragma| is(first, pragma)),
        _ => false,
    };
    if reads { ffi::SQLITE_OK } else { ffi::SQLITE_DENY }
}
