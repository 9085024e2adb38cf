//! How crowded the machine was while a job ran, and what it would have taken alone.
//!
//! With more jobs at work than there are processors, each waits for the others: a test is not slow for having been measured
//! among eight. What is known of a job is its duration and its processor time, and when it began and ended: together with the
//! others' that says how many shared the processors meanwhile, and whether these were busy.

/// A job that ran.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// When it began, in seconds.
    pub start: f64,
    /// When it was over.
    pub end: f64,
    /// Its processor time.
    pub cpu: f64,
}

/// What it was like while a job ran.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// How many jobs ran on average, it included.
    pub workers: f64,
    /// By how much the time that it needed a processor was stretched.
    pub stretch: f64,
}

/// Processors that are less busy than this have made nobody wait.
const IDLE: f64 = 0.7;
/// Those that are busier have made everybody wait.
const FULL: f64 = 0.9;

/// What it was like during each job of a run on so many processors.
pub fn loads(spans: &[Span], cores: f64) -> Vec<Load> {
    let mut edges: Vec<(f64, bool, usize)> = Vec::with_capacity(spans.len() * 2);
    for (index, span) in spans.iter().enumerate() {
        edges.push((span.start, true, index));
        edges.push((span.end.max(span.start), false, index));
    }
    // Of two edges at the same time a start comes first, so that a span of no length begins before it ends.
    edges.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
    let (mut running, mut rate) = (0.0_f64, 0.0_f64);
    // The integrals of both up to the last edge.
    let (mut jobs, mut work, mut last) = (0.0_f64, 0.0_f64, 0.0_f64);
    let mut at_start = vec![(0.0, 0.0); spans.len()];
    let mut loads = vec![
        Load {
            workers: 1.0,
            stretch: 1.0
        };
        spans.len()
    ];
    for (at, is_start, index) in edges {
        jobs += running * (at - last);
        work += rate * (at - last);
        last = at;
        let span = spans[index];
        let length = span.end - span.start;
        let own = if length > 0.0 { span.cpu / length } else { 0.0 };
        if is_start {
            running += 1.0;
            rate += own;
            at_start[index] = (jobs, work);
            continue;
        }
        running -= 1.0;
        rate -= own;
        if length > 0.0 {
            let workers = ((jobs - at_start[index].0) / length).max(1.0);
            let busy = (work - at_start[index].1) / length / cores.max(1.0);
            let share = ((busy - IDLE) / (FULL - IDLE)).clamp(0.0, 1.0);
            loads[index] = Load {
                workers,
                stretch: 1.0 + ((workers / cores.max(1.0)).max(1.0) - 1.0) * share,
            };
        }
    }
    loads
}

/// What a test that took `seconds` with `cpu` seconds of processor time would have taken alone.
pub fn alone(seconds: f64, cpu: f64, stretch: f64) -> f64 {
    // One that uses several processors at once can't be told from what it was stretched by; it is left as it is.
    if cpu >= seconds || cpu <= 0.0 {
        return seconds;
    }
    (seconds - cpu * stretch).max(0.0) + cpu
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn busy_jobs_beyond_the_processors_stretch_each_other() {
        // Eight jobs of one second of work each share two processors for four seconds.
        let spans = [Span {
            start: 1.0,
            end: 5.0,
            cpu: 1.0,
        }; 8];
        for load in loads(&spans, 2.0) {
            assert!(
                close(load.workers, 8.0) && close(load.stretch, 4.0),
                "{load:?}"
            );
            assert!(close(alone(4.0, 1.0, load.stretch), 1.0));
        }
    }

    #[test]
    fn jobs_that_sleep_do_not_stretch_each_other() {
        let spans = [Span {
            start: 0.0,
            end: 1.0,
            cpu: 0.01,
        }; 8];
        for load in loads(&spans, 2.0) {
            assert!(close(load.stretch, 1.0), "{load:?}");
            assert!(close(alone(1.0, 0.01, load.stretch), 1.0));
        }
    }

    #[test]
    fn only_what_runs_at_the_same_time_counts() {
        let span = |start: f64| Span {
            start,
            end: start + 1.0,
            cpu: 1.0,
        };
        let spans: Vec<Span> = (0..8_u8).map(|number| span(f64::from(number))).collect();
        for load in loads(&spans, 1.0) {
            assert!(
                close(load.workers, 1.0) && close(load.stretch, 1.0),
                "{load:?}"
            );
        }
    }

    #[test]
    fn clocks_that_stand_still_or_go_back_break_nothing() {
        let spans = [
            Span {
                start: 2.0,
                end: 1.0,
                cpu: 1.0,
            },
            Span {
                start: 2.0,
                end: 2.0,
                cpu: 0.0,
            },
        ];
        for load in loads(&spans, 0.0) {
            assert!(load.stretch.is_finite() && load.workers.is_finite());
        }
    }
}
