// The test sequencer that jest is given by `orchestrate_jest.cjs`.
//
// jest hands it all test files of all projects and runs those that it returns. So a listing has what jest itself would run,
// and a job runs its items and nothing else. The project's own sequencer is not used: the order is that of the items.
'use strict';
const { writeFileSync } = require('node:fs');
const { relative } = require('node:path');
const ours = require('./orchestrate_javascript.cjs');

/** The listing is a process of its own; this variable names the file that it writes to. */
const LISTING = 'ORCHESTRATE_JEST_LISTING';
/** What the script, the sequencer and the reporter of one process share. */
const state = (globalThis[Symbol.for('orchestrate.jest')] ||= { items: [], select: [], reporters: [], ids: new Map() });

const idOfProject = (config) => config.id ?? config.name;
/** What tells a test file of one project from the same file of another. */
const keyOf = (test) => `${idOfProject(test.context.config)} ${test.path}`;

/** The name of each project: its `displayName`, or else its folder; a number tells those of the same name apart. */
function namesOf(projects) {
  const names = new Map();
  const often = new Map();
  for (const [id, { displayName, rootDir }] of projects) {
    const name = displayName || relative(process.cwd(), rootDir) || '.';
    often.set(name, (often.get(name) ?? 0) + 1);
    names.set(id, often.get(name) > 1 ? `${name}#${often.get(name)}` : name);
  }
  return names;
}

/** An item for each test file: with its project where there are several, and the project has a name or shares the file. */
function itemsOf(tests) {
  const all = tests.map((test) => {
    const { displayName, rootDir } = test.context.config;
    return { key: keyOf(test), path: test.path, id: idOfProject(test.context.config), displayName: displayName?.name, rootDir };
  });
  const projects = new Map(all.map((test) => [test.id, test]));
  const names = namesOf(projects);
  const often = new Map();
  for (const { path } of all) often.set(path, (often.get(path) ?? 0) + 1);
  return all.map(({ key, path, id, displayName }) => {
    const isTold = projects.size > 1 && (displayName || often.get(path) > 1);
    return { key, path, id: ours.idOf(path, isTold ? names.get(id) : ''), tags: displayName ? [`project:${displayName}`] : [] };
  });
}

module.exports = class Sequencer {
  sort(tests) {
    const items = itemsOf(tests);
    if (process.env[LISTING]) {
      writeFileSync(process.env[LISTING], JSON.stringify(items));
      return tests;
    }
    const byKey = new Map(tests.map((test) => [keyOf(test), test]));
    const byId = new Map(items.map((item) => [item.id, item.key]));
    const chosen = state.items.filter((id) => byId.has(id)).map((id) => [byId.get(id), id]);
    state.ids = new Map(chosen);
    return chosen.map(([key]) => byKey.get(key));
  }

  cacheResults() {}
};
Object.assign(module.exports, { LISTING, keyOf, state });
