//! A lockfile: what is accepted is rendered to the same bytes, and so is its inner lock.
#![no_main]

use model_bundle::lockfile::Lockfile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let lock = match Lockfile::parse(data) {
        Ok(lock) => lock,
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.help().is_empty());
            return;
        }
    };
    let text = std::str::from_utf8(data).expect("what was accepted is text");
    assert_eq!(lock.render(), text.replace("\r\n", "\n"));
    assert!(lock.same_content(&lock));
    assert_eq!(lock.changes(&lock), []);
    let inner = lock.inner();
    let read = Lockfile::parse(inner.render().as_bytes()).expect("the inner lock is a lock");
    assert!(read.same_content(&inner) && read.archive.is_none());
    assert_eq!(read.inner_digest(), lock.inner_digest());
    let _ = lock.entries();
});
