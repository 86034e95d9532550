//! The tools over a folder in memory that gives three bytes at once.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::folder::{Entry, Error, Folder, Kind};
use crate::invoke::{Fault, invoke};

/// Paths to files; nothing for a folder.
#[derive(Debug, Default)]
struct Memory {
    held: RefCell<BTreeMap<String, Option<Vec<u8>>>>,
    writes: RefCell<u32>,
}

impl Folder for Memory {
    fn stat(&self, _: &str, path: &str) -> Result<Entry, Error> {
        let held = self.held.borrow();
        let found = held.get(path).ok_or_else(|| Error::NotFound(format!("nothing at {path}")))?;
        let (kind, size) = found.as_ref().map_or((Kind::Folder, 0), |bytes| (Kind::File, bytes.len() as u64));
        Ok(Entry { name: path.to_owned(), kind, size })
    }

    fn list(&self, mount: &str, _: &str) -> Result<Vec<Entry>, Error> {
        self.held.borrow().keys().map(|path| self.stat(mount, path)).collect()
    }

    fn read(&self, _: &str, path: &str, offset: u64, most: u32) -> Result<Vec<u8>, Error> {
        let held = self.held.borrow();
        let bytes = held.get(path).cloned().flatten().ok_or_else(|| Error::Failed("no file".into()))?;
        Ok(bytes.into_iter().skip(usize::try_from(offset).unwrap()).take(most.min(3) as usize).collect())
    }

    fn write(&self, _: &str, path: &str, contents: &[u8]) -> Result<(), Error> {
        if let Some((folder, _)) = path.rsplit_once('/') {
            assert_eq!(self.held.borrow().get(folder), Some(&None), "{path}");
        }
        *self.writes.borrow_mut() += 1;
        self.held.borrow_mut().insert(path.to_owned(), Some(contents.to_vec()));
        Ok(())
    }

    fn make_folder(&self, _: &str, path: &str) -> Result<(), Error> {
        if self.held.borrow_mut().insert(path.to_owned(), None).is_some() {
            return Err(Error::Exists("there".into()));
        }
        Ok(())
    }
}

fn call(folder: &Memory, tool: &str, mut input: Value) -> Result<Value, Fault> {
    input["mount"] = json!("work");
    invoke(folder, tool, &input.to_string()).map(|answer| serde_json::from_str(&answer).unwrap())
}

fn refused(folder: &Memory, tool: &str, input: Value) -> String {
    match call(folder, tool, input).unwrap_err() {
        Fault::InvalidInput(message) => message,
        other @ Fault::Failed(_) => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_is_read_again_in_parts() {
    let folder = Memory::default();
    let written = call(&folder, "file/write", json!({"path": "a/b/ä.txt", "content": "Grüße, harbour"})).unwrap();
    assert_eq!(written, json!({"path": "a/b/ä.txt", "size": 16, "replaced": false}));
    let whole = call(&folder, "file/read", json!({"path": "a/b/ä.txt"})).unwrap();
    assert_eq!(
        whole,
        json!({"path": "a/b/ä.txt", "size": 16, "offset": 0, "end": 16, "truncated": false, "encoding": "text", "content": "Grüße, harbour"})
    );
    // Nothing is cut within a character, and the parts are the whole.
    let (mut offset, mut parts) = (0, String::new());
    while offset < 16 {
        let part = call(&folder, "file/read", json!({"path": "a/b/ä.txt", "offset": offset, "most": 3})).unwrap();
        parts.push_str(part["content"].as_str().unwrap());
        offset = part["end"].as_u64().unwrap();
        assert_eq!(part["truncated"], offset < 16, "{part}");
    }
    assert_eq!(parts, "Grüße, harbour");
    let listed = call(&folder, "file/list", json!({"most": 2})).unwrap();
    assert_eq!((listed["entries"].as_array().unwrap().len(), &listed["truncated"]), (2, &json!(true)));
    assert_eq!(listed["entries"][0], json!({"name": "a", "kind": "folder", "size": 0}));
}

#[test]
fn bytes_that_are_no_text_travel_as_base64() {
    let folder = Memory::default();
    call(&folder, "file/write", json!({"path": "x", "content": "AP8A/w==", "encoding": "base64"})).unwrap();
    assert_eq!(folder.held.borrow()["x"], Some(vec![0, 255, 0, 255]));
    assert!(refused(&folder, "file/read", json!({"path": "x"})).contains("ask with encoding base64"));
    let read = call(&folder, "file/read", json!({"path": "x", "encoding": "base64"})).unwrap();
    assert_eq!(read["content"], "AP8A/w==");
    let told = refused(&folder, "file/write", json!({"path": "y", "content": "!", "encoding": "base64"}));
    assert!(told.contains("content is not base64"), "{told}");
}

#[test]
fn a_file_is_written_over_only_where_that_is_said_and_the_same_call_twice_writes_once() {
    let folder = Memory::default();
    let first = json!({"path": "x", "content": "one"});
    call(&folder, "file/write", first.clone()).unwrap();
    assert_eq!(call(&folder, "file/write", first).unwrap()["replaced"], false);
    assert_eq!(*folder.writes.borrow(), 1);
    for other in ["two", "longer", ""] {
        let told = refused(&folder, "file/write", json!({"path": "x", "content": other}));
        assert!(told.contains("set replace to write over it"), "{told}");
    }
    assert_eq!(*folder.writes.borrow(), 1);
    let over = call(&folder, "file/write", json!({"path": "x", "content": "two", "replace": true})).unwrap();
    assert_eq!((&over["replaced"], &folder.held.borrow()["x"]), (&json!(true), &Some(b"two".to_vec())));
}

#[test]
fn what_is_not_there_or_no_file_is_named() {
    let folder = Memory::default();
    call(&folder, "file/write", json!({"path": "a/x", "content": "one"})).unwrap();
    assert!(refused(&folder, "file/read", json!({"path": "y"})).contains("nothing at y"));
    assert!(refused(&folder, "file/read", json!({"path": "a"})).contains("file/list shows"));
    assert!(refused(&folder, "file/write", json!({"path": "a", "content": ""})).contains("is there and no file"));
    assert!(refused(&folder, "file/read", json!({"path": "a/x", "offset": 9})).contains("has 3 bytes"));
    assert!(matches!(invoke(&folder, "file/other", "{}"), Err(Fault::InvalidInput(told)) if told.contains("it holds")));
}
