//! What is recorded is recalled, whatever happens to the database in between.

use std::fs;
use std::io::Cursor;

use rusqlite::Connection;

use super::*;
use crate::event::{Event, Moment, TestFinished};
use crate::history::{Recorder, export, import, look, prune};
use crate::report::{ReportError, Reporter};

type Break = Box<dyn Fn(&Path)>;

/// Records a run of one job with these tests: id, attempt, outcome, seconds. The job takes `extra` seconds more than they do.
fn record(
    path: &Path,
    run: &str,
    tests: &[(&str, u32, Outcome, f64)],
    extra: f64,
) -> Result<(), ReportError> {
    let mut recorder = Recorder::new(path.to_owned(), run, Some("c0ffee".into()), 2);
    let tests: Vec<_> = tests.iter().collect();
    let seconds: f64 = tests.iter().map(|test| test.3).sum();
    recorder
        .event(
            Moment::default(),
            &Event::JobStarted {
                job: 1,
                group: "unit".into(),
                worker: 0,
                pid: 1,
                attempt: 1,
                tests: Vec::new(),
                placement: crate::event::Placement::default(),
            },
        )
        .unwrap();
    for (id, attempt, outcome, seconds) in tests {
        let finished = TestFinished {
            seconds: *seconds,
            attempt: *attempt,
            worker: Some(0),
            ..TestFinished::new((*id).into(), "unit", *outcome)
        };
        recorder
            .event(Moment::default(), &Event::TestFinished(finished))
            .unwrap();
    }
    recorder
        .event(
            Moment::default(),
            &Event::JobFinished {
                job: 1,
                outcome: Outcome::Failed,
                seconds: seconds + extra,
                cpu: 0.1,
                memory: 5 << 20,
                exit: Some(1),
                signal: None,
            },
        )
        .unwrap();
    recorder.finish()
}

fn record_one(path: &Path) -> Result<(), ReportError> {
    record(path, "run", &[("unit::a", 1, Outcome::Failed, 1.5)], 0.0)
}

fn recall(path: &Path, id: &str) -> Option<Past> {
    let (store, warning) = Store::read(path, "run");
    assert_eq!(warning, None);
    store.recall(id)
}

fn knows(path: &Path) -> bool {
    let past = recall(path, "unit::a");
    past.is_some_and(|past| past.duration == Duration::from_millis(1500) && past.failed)
}

fn fresh() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    (folder, path)
}

#[test]
fn what_is_recorded_is_recalled() {
    let (_folder, path) = fresh();
    assert!(!knows(&path));
    record_one(&path).unwrap();
    assert!(knows(&path));
    assert_eq!(recall(&path, "unit::a").unwrap().memory, 5 << 20);
    // A renamed test is another: nothing is known of it.
    assert_eq!(recall(&path, "unit::renamed"), None);
}

#[test]
fn an_estimate_is_the_median_of_the_last_runs_and_every_outcome_counts() {
    let (_folder, path) = fresh();
    let outcomes = [
        (Outcome::Passed, 90.0),
        (Outcome::TimedOut, 3.0),
        (Outcome::Failed, 2.0),
        (Outcome::Passed, 1.0),
        (Outcome::Crashed, 50.0),
        (Outcome::Passed, 4.0),
    ];
    for (number, (outcome, seconds)) in outcomes.iter().enumerate() {
        let tests = [("unit::a", 1, *outcome, *seconds)];
        record(&path, &format!("{number}"), &tests, 0.0).unwrap();
    }
    // The first is too old to count.
    let past = recall(&path, "unit::a").unwrap();
    assert_eq!(past.duration, Duration::from_secs(3));
    assert!(!past.failed, "the last one passed");
    record(
        &path,
        "flaky",
        &[
            ("unit::b", 1, Outcome::Failed, 1.0),
            ("unit::b", 2, Outcome::Flaky, 1.0),
        ],
        0.0,
    )
    .unwrap();
    assert!(
        !recall(&path, "unit::b").unwrap().failed,
        "it passed in the end"
    );
}

#[test]
fn a_wall_clock_that_jumps_back_does_not_make_old_results_new() {
    let (_folder, path) = fresh();
    let failed = [("unit::a", 1, Outcome::Failed, 1.0)];
    record(&path, "20260101-000000.000-1", &failed, 0.0).unwrap();
    let passed = [("unit::a", 1, Outcome::Passed, 1.0)];
    record(&path, "20200101-000000.000-1", &passed, 0.0).unwrap();
    assert!(!recall(&path, "unit::a").unwrap().failed);
}

#[test]
fn only_the_last_runs_of_a_test_are_kept() {
    let (_folder, path) = fresh();
    for number in 0..40 {
        let tests = [("unit::a", 1, Outcome::Passed, 1.0)];
        record(&path, &format!("{number:03}"), &tests, 0.0).unwrap();
    }
    let tries = &look(&path).unwrap()[0].tries;
    assert!((8..12).contains(&tries.len()), "{}", tries.len());
    assert_eq!(tries[0].run, "039");
    assert_eq!(prune(&path, 1, 1000).unwrap().1, 0);
    assert_eq!(look(&path).unwrap()[0].tries.len(), 1);
    record(&path, "040", &[("unit::b", 1, Outcome::Passed, 1.0)], 0.0).unwrap();
    assert_eq!(prune(&path, 1, 1).unwrap(), (1, 1));
    assert_eq!(look(&path).unwrap()[0].id, "unit::b");
}

#[test]
fn what_a_start_costs_is_what_a_job_took_beyond_its_tests() {
    let (_folder, path) = fresh();
    let tests = [
        ("unit::a", 1, Outcome::Passed, 1.0),
        ("unit::b", 1, Outcome::Passed, 2.0),
    ];
    record(&path, "1", &tests, 0.0).unwrap();
    let start = |path: &Path| Store::read(path, "").0.start_cost("unit");
    assert_eq!(start(&path), None, "nobody tells what its tests took");
    record(&path, "2", &tests, 0.75).unwrap();
    assert_eq!(start(&path), Some(Duration::from_millis(750)));
    // One that did not end says nothing of it.
    let tests = [("unit::a", 1, Outcome::TimedOut, 1.0)];
    record(&path, "3", &tests, 9.0).unwrap();
    assert_eq!(start(&path), Some(Duration::from_millis(750)));
}

#[test]
fn a_history_of_the_first_version_is_read_and_brought_up_to_date() {
    let (_folder, path) = fresh();
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "CREATE TABLE tests (id TEXT PRIMARY KEY, seconds REAL NOT NULL, outcome TEXT NOT NULL) WITHOUT ROWID;
             INSERT INTO tests VALUES ('unit::a', 1.5, 'failed'), ('unit::old', 2.5, 'passed')",
        )
        .unwrap();
    assert!(knows(&path));
    record(&path, "run", &[("unit::b", 1, Outcome::Passed, 1.0)], 0.0).unwrap();
    assert!(knows(&path));
    let old = recall(&path, "unit::old").unwrap();
    assert_eq!(old.duration, Duration::from_millis(2500));
    assert!(recall(&path, "unit::b").is_some());
}

#[test]
fn a_history_of_a_newer_version_is_left_as_it_is() {
    let (_folder, path) = fresh();
    record_one(&path).unwrap();
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let (store, warning) = Store::read(&path, "run");
    assert!(store.known.is_empty());
    assert!(warning.unwrap().contains("a newer orchestrate"));
    let error = record_one(&path).unwrap_err();
    assert!(error.is_advisory && error.to_string().contains("newer"));
    assert!(path.exists() && !path.with_file_name("history.db.corrupt-run").exists());
}

#[test]
fn two_writers_lose_nothing() {
    let (_folder, path) = fresh();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for number in 0..10 {
                    let id = format!("unit::{writer}-{number}");
                    let tests = [(id.as_str(), 1, Outcome::Passed, 1.0)];
                    record(path, &format!("run-{writer}-{number}"), &tests, 0.5).unwrap();
                }
            });
        }
    });
    assert_eq!(look(&path).unwrap().len(), 40);
}

#[test]
fn exports_of_shards_are_disjoint_and_merge_in_whatever_order() {
    let shard = |run: &str, id: &str| {
        let (folder, path) = fresh();
        record(&path, run, &[(id, 1, Outcome::Passed, 1.0)], 0.5).unwrap();
        let mut text = Vec::new();
        assert_eq!(export(&path, Some("last"), &mut text).unwrap(), 2);
        drop(folder);
        String::from_utf8(text).unwrap()
    };
    let (one, two) = (
        shard("20260101-1", "unit::a"),
        shard("20260101-2", "unit::b"),
    );
    assert!(one.lines().all(|line| !two.contains(line)));
    let merged = |texts: &[&str]| {
        let (_folder, path) = fresh();
        for text in texts {
            import(&path, &mut Cursor::new(&text)).unwrap();
        }
        let mut all = Vec::new();
        export(&path, None, &mut all).unwrap();
        let mut lines: Vec<_> = String::from_utf8(all)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    let all = merged(&[&one, &two]);
    assert_eq!(all.len(), 4);
    assert_eq!(all, merged(&[&two, &one, &two]));
    let (_folder, path) = fresh();
    assert_eq!(import(&path, &mut Cursor::new(&one)).unwrap(), 2);
    assert_eq!(import(&path, &mut Cursor::new(&one)).unwrap(), 0);
    for wrong in ["{}", "nonsense", "{\"v\":2,\"run\":\"x\"}"] {
        let text = format!("{two}{wrong}\n");
        let error = import(&path, &mut Cursor::new(&text))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("line 3 is no result"), "{error}");
    }
    // All of a file or nothing of it.
    assert!(recall(&path, "unit::b").is_none());
}

#[test]
fn a_test_is_flaky_if_it_passes_at_a_later_try_or_does_both_at_one_commit() {
    let (_folder, path) = fresh();
    let both = |first, second| {
        record(&path, "1", &[("unit::both", 1, first, 1.0)], 0.0).unwrap();
        record(&path, "2", &[("unit::both", 1, second, 1.0)], 0.0).unwrap();
    };
    both(Outcome::Failed, Outcome::Passed);
    let tests = [
        ("unit::again", 1, Outcome::Failed, 1.0),
        ("unit::again", 2, Outcome::Flaky, 1.0),
        ("unit::bad", 1, Outcome::Failed, 1.0),
        ("unit::bad", 2, Outcome::Failed, 1.0),
        ("unit::good", 1, Outcome::Passed, 1.0),
    ];
    record(&path, "3", &tests, 0.0).unwrap();
    let flaky: Vec<_> = look(&path)
        .unwrap()
        .into_iter()
        .filter_map(|known| Some((known.id.clone(), known.flakes()?)))
        .collect();
    assert_eq!(
        flaky,
        [
            ("unit::again".to_owned(), (1, 1)),
            ("unit::both".to_owned(), (1, 2))
        ]
    );
}

#[test]
fn whatever_is_broken_is_set_aside_and_begun_anew() {
    let other = |sql: &'static str| {
        move |path: &Path| Connection::open(path).unwrap().execute_batch(sql).unwrap()
    };
    let breaks: [Break; 7] = [
        Box::new(|path| {
            fs::write(path, "not a database, but long enough to look like one").unwrap();
        }),
        Box::new(|path| fs::create_dir(path).unwrap()),
        // The first page is whole, and names others that are not there.
        Box::new(|path| {
            let mut bytes = b"SQLite format 3\0".to_vec();
            bytes.resize(9000, 0xff);
            fs::write(path, bytes).unwrap();
        }),
        Box::new(other("CREATE TABLE tests (name TEXT)")),
        Box::new(other(
            "CREATE TABLE tests (id, seconds, outcome); INSERT INTO tests VALUES (x'ff', 'long', NULL)",
        )),
        // The version of today, with other tables.
        Box::new(other(
            "CREATE TABLE tests (id TEXT, seconds REAL, outcome TEXT); PRAGMA user_version = 2",
        )),
        Box::new(move |path| {
            record_one(path).unwrap();
            other("UPDATE results SET alone = 'long'")(path);
        }),
    ];
    for (number, make) in breaks.iter().enumerate() {
        let (folder, path) = fresh();
        make(&path);
        let (store, warning) = Store::read(&path, "run");
        assert!(store.known.is_empty(), "{number}");
        let warning = warning.unwrap();
        assert!(
            warning.contains("set aside as history.db.corrupt-run;"),
            "{number}: {warning}"
        );
        assert!(folder.path().join("history.db.corrupt-run").exists());
        record_one(&path).unwrap();
        assert!(knows(&path));
    }
}

#[test]
fn what_breaks_while_tests_run_is_begun_anew_too() {
    let (_folder, path) = fresh();
    fs::write(&path, "not a database, but long enough to look like one").unwrap();
    let error = record_one(&path).unwrap_err();
    assert!(
        error.is_advisory && error.to_string().contains("begun anew"),
        "{error}"
    );
    assert!(knows(&path));
}
