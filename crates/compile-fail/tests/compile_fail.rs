//! Every program in `fail` is refused by the compiler, in the words that are checked in beside it; its
//! twin in `pass`, which differs in the forbidden thing alone, is compiled into this test.
//!
//! The words are those of Rust 1.95. After a change that is meant, or on a newer compiler,
//! `TRYBUILD=overwrite cargo test -p compile-fail` writes them anew; read the difference before you keep it.
//! `docs/isolation.md` explains the messages.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

macro_rules! twins {
    ($($name:ident)*) => {
        #[expect(dead_code, reason = "that they compile is all that is asked of them")]
        mod pass {
            $(mod $name;)*
        }

        const TWINS: &[&str] = &[$(stringify!($name),)*];
    };
}

twins! {
    access_by_constructor
    access_kept_past_visit
    access_made_by_hand
    access_to_another_noun
    admission_by_default
    admission_from_input
    admission_made_by_hand
    answer_kept_past_visit
    brand_stretched
    collect_two_tenants
    content_as_an_error
    content_by_a_question
    content_with_read_access
    kept_in_outer_list
    kept_in_shared_cache
    kept_in_static
    log_with_bare_id
    object_scope_made_by_hand
    object_without_the_check
    operator_by_constructor
    operator_made_by_hand
    operator_reads_records
    origin_made_by_hand
    private_debugged
    private_dereferenced
    private_displayed
    private_field_read
    private_serialised
    prompt_of_another_tenant
    raw_request
    raw_text_in_a_prompt
    read_from_shared_cache
    released_at_anothers_door
    released_without_a_door
    request_of_another_tenant
    returned_from_visit
    row_of_another_tenants_access
    row_without_the_check
    secret_bytes_indexed
    secret_bytes_serialised
    secret_compared_with_text
    secret_displayed
    secret_from_input
    secret_serialised
    sent_over_outer_channel
    spawned_past_visit
    store_with_bare_id
    tenant_by_default
    tenant_from_input
    tenant_kept_past_visit
    tenant_made_by_hand
    tenant_makes_tenants
    two_tenants_in_a_prompt
    write_with_read_access
    zip_two_tenants
}

/// How many lines a program may have that its twin has not: the forbidden thing, and what it needs.
const DIFFERENCE: usize = 4;

fn files(folder: &str) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(Path::new("tests").join(folder))? {
        let name = entry?.file_name();
        names.extend(name.to_string_lossy().strip_suffix(".rs").map(str::to_owned));
    }
    Ok(names)
}

/// The program's lines without what it says of itself.
fn lines(folder: &str, name: &str) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(format!("tests/{folder}/{name}.rs"))?;
    Ok(text.lines().skip(1).map(|line| line.trim().to_owned()).collect())
}

fn only_in(these: &[String], those: &[String]) -> usize {
    these.iter().filter(|line| !those.contains(line)).count()
}

#[test]
fn what_must_not_be_writable_is_refused() {
    trybuild::TestCases::new().compile_fail("tests/fail/*.rs");
}

#[test]
fn every_program_has_its_twin() -> io::Result<()> {
    let twins: BTreeSet<_> = TWINS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(files("fail")?, twins);
    assert_eq!(files("pass")?, twins);
    Ok(())
}

#[test]
fn the_compilers_words_are_kept_and_name_no_machine() -> io::Result<()> {
    for name in TWINS {
        let words = fs::read_to_string(format!("tests/fail/{name}.stderr"))?;
        assert!(words.contains("error") && !words.contains("--> /"), "{name}");
    }
    Ok(())
}

#[test]
fn the_page_about_isolation_explains_every_program() -> io::Result<()> {
    let page = fs::read_to_string("../../docs/isolation.md")?;
    for name in TWINS {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
    Ok(())
}

#[test]
fn twins_differ_in_the_forbidden_thing_alone() -> io::Result<()> {
    for name in TWINS {
        let (fail, pass) = (lines("fail", name)?, lines("pass", name)?);
        let (forbidden, allowed) = (only_in(&fail, &pass), only_in(&pass, &fail));
        assert!(
            fail != pass && forbidden.max(allowed) <= DIFFERENCE,
            "{name}: {forbidden} and {allowed} lines"
        );
    }
    Ok(())
}
