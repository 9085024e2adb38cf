//! What is found wrong with a group as a whole once its tests are over, such as too little coverage: it is nobody's test, and
//! must not be lost.

use super::Shared;
use super::session;
use crate::event::{Event, TestFinished};
use crate::outcome::Outcome;
use crate::runner::parts;

/// Finishes what the processes of a group have left, and tells if that went wrong.
pub fn finish(shared: &Shared<'_>, group: usize) {
    let planned = &shared.plan.groups[group];
    // What is stopped has nothing that is whole.
    let is_stopping = || shared.clients.is_stopping_for(group);
    if is_stopping() {
        return;
    }
    let finished = match parts::are_left(shared.discovery, &planned.config) {
        Ok(false) => return,
        Ok(true) => {
            // A process of it has begun, so they have run already.
            let set = shared.groups[group].ready(shared, group);
            let files = session::files(planned);
            let set = set.unwrap_or_default();
            parts::finish(shared.discovery, &planned.config, &files, &set)
        }
        Err(error) => Err(parts::Failure {
            how: format!("it can't be looked for: {error}"),
            output: String::new(),
        }),
    };
    if let Err(failure) = finished
        && !is_stopping()
    {
        let why = format!(
            "all tests are over, but `finish` of their runner failed: {}",
            failure.how
        );
        failed(shared, group, why, failure.output);
    }
}

/// Tells of it as a failed test that is called like the group, once. Who needs the group does not run.
pub fn failed(shared: &Shared<'_>, group: usize, why: String, output: String) {
    let id = shared.plan.groups[group].config.name.to_string();
    // Where each worker has a host, the first that says so speaks for all.
    if !shared.state().is_news(&id, Outcome::Failed) {
        return;
    }
    shared.send(Event::TestsFound {
        group: id.clone(),
        of: None,
        tests: vec![id.clone()],
        part: false,
    });
    shared.send(Event::TestFinished(TestFinished {
        message: Some(why),
        output: Some(output).filter(|text| !text.is_empty()),
        ..TestFinished::new(id.clone(), &id, Outcome::Failed)
    }));
    let mut state = shared.state();
    state.failures += 1;
    state.scheduler.fail(group);
}
