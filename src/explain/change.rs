//! What can be changed in a scene: which jobs there are, in which order, and what is in them.

use std::collections::{BTreeSet, HashSet};

use super::scene::{Piece, Scene};
use crate::manifest::model::Order;

impl Scene {
    /// Puts the jobs of a group that run beside others now where a plan would have put them: those that take longest first.
    pub fn replan(&mut self, group: usize, was_alone: &[usize]) {
        for index in was_alone {
            self.recut(*index);
        }
        let stage = &self.groups[group];
        if stage.order != Order::Smart {
            return;
        }
        let freed = |index: &usize| was_alone.contains(index) && !self.pieces[*index].is_alone();
        let (freed, mut queue): (Vec<usize>, Vec<usize>) =
            stage.queue.iter().copied().partition(freed);
        for index in freed {
            let freed = &self.pieces[index];
            let shorter = |at: &usize| {
                let piece = &self.pieces[*at];
                piece.round == freed.round && piece.predicted < freed.predicted
            };
            let place = queue.iter().position(shorter).unwrap_or(queue.len());
            queue.insert(place, index);
        }
        self.groups[group].queue = queue;
    }

    /// Cuts a job into as many as its group has workers, by its tests.
    pub fn recut(&mut self, index: usize) {
        let piece = self.pieces[index].clone();
        let parts = self.groups[piece.group].workers.min(self.limits.slots);
        if parts.min(piece.tests.len()) < 2 {
            return;
        }
        let mut tests = piece.tests.clone();
        tests.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut bins: Vec<(f64, Vec<(String, f64)>)> = vec![(0.0, Vec::new()); parts];
        for test in tests {
            if let Some(bin) = bins.iter_mut().min_by(|a, b| a.0.total_cmp(&b.0)) {
                bin.0 += test.1;
                bin.1.push(test);
            }
        }
        let bins = bins.into_iter().map(|(_, tests)| tests);
        self.part(index, bins.filter(|tests| !tests.is_empty()).collect());
    }

    /// Puts several jobs in the place of one, which the first of them stays.
    pub fn part(&mut self, index: usize, parts: Vec<Vec<(String, f64)>>) {
        let piece = self.pieces[index].clone();
        let mut parts = parts.into_iter();
        self.pieces[index].tests = parts.next().unwrap_or_default();
        let others = parts.map(|tests| Piece {
            tests,
            next: Vec::new(),
            lost: None,
            ..piece.clone()
        });
        let others: Vec<Piece> = others.collect();
        let from = self.pieces.len();
        let new = from..from + others.len();
        self.pieces.extend(others);
        let queue = &mut self.groups[piece.group].queue;
        match queue.iter().position(|at| *at == index) {
            Some(place) => drop(queue.splice(place + 1..=place, new)),
            // It came of another one: so do its parts.
            None => {
                let before = self.pieces.iter_mut();
                for piece in before.filter(|piece| piece.next.contains(&index)) {
                    piece.next.extend(new.clone());
                }
            }
        }
    }

    /// The same job in each repetition: of the plan there is one in each, another try is in one.
    pub fn in_each_round(&self, index: usize) -> Vec<usize> {
        let is_same = |at: &usize| self.pieces[*at].chunk == self.pieces[index].chunk;
        let mut rounds = BTreeSet::from([self.pieces[index].round]);
        let others = (0..self.pieces.len()).filter(is_same);
        // What a job was cut into comes behind it.
        let others = others.filter(|at| rounds.insert(self.pieces[*at].round));
        std::iter::once(index).chain(others).collect()
    }

    /// Lets a job that was stopped for want of memory go on to its end.
    pub fn let_go_on(&mut self, index: usize) {
        self.pieces[index].lost = None;
        for again in std::mem::take(&mut self.pieces[index].next) {
            let Piece {
                tests, start, next, ..
            } = self.pieces[again].clone();
            let piece = &mut self.pieces[index];
            piece.start += start;
            piece.next.extend(next);
            let again: HashSet<&String> = tests.iter().map(|(id, _)| id).collect();
            piece.tests.retain(|(id, _)| !again.contains(id));
            piece.tests.extend(tests);
        }
    }

    /// Takes a job out.
    pub fn drop_job(&mut self, index: usize) {
        let group = self.pieces[index].group;
        self.groups[group].queue.retain(|at| *at != index);
        for piece in &mut self.pieces {
            piece.next.retain(|at| *at != index);
        }
    }
}
