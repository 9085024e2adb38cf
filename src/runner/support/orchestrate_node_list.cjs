// The files that `node --test` runs by itself in the current folder, for `orchestrate`:
//
//     orchestrate_node_list.cjs REPORT [ARGUMENT…]
//
// The arguments are those of the run. The rules are those of the Node that runs this script: lib/internal/test_runner/runner.js
// and utils.js of its version. Node has no option that lists the files.
'use strict';
const fs = require('node:fs');
const { basename, join, resolve } = require('node:path');
const ours = require('./orchestrate_javascript.cjs');

const [path, ...args] = process.argv.slice(2);
const cwd = process.cwd();

/** Whether this Node runs TypeScript, with these arguments: `node --test` then takes such files as well. */
function runsTypeScript() {
  if (ours.hasOption(args, '--no-strip-types', '--no-experimental-strip-types')) return false;
  if (ours.hasOption(args, '--strip-types', '--experimental-strip-types', '--experimental-transform-types')) return true;
  return Boolean(process.features.typescript);
}

/** Node 22 and later: patterns. */
function byPattern() {
  const extensions = ['js', 'mjs', 'cjs', ...(runsTypeScript() ? ['ts', 'mts', 'cts'] : [])];
  const pattern = `**/{test,test/**/*,test-*,*[._-]test}.{${extensions.join(',')}}`;
  const exclude = (entry) => (entry?.name ?? entry) === 'node_modules';
  return fs.globSync(pattern, { cwd, exclude });
}

/** Node 20: a walk, in which all of a folder `test` counts. */
function byWalk() {
  const found = [];
  const walk = (entry, underTest, isFirst) => {
    let stats;
    try {
      stats = fs.statSync(entry);
    } catch {
      return;
    }
    if (stats.isFile()) {
      const isTest = /((^test(-.+)?)|(.+[.\-_]test))\.[cm]?js$/.test(basename(entry));
      if (isTest || (underTest && /\.[cm]?js$/.test(entry))) found.push(entry);
    } else if (stats.isDirectory()) {
      if (!isFirst && basename(entry) === 'node_modules') return;
      const isUnder = underTest || basename(entry) === 'test';
      for (const name of fs.readdirSync(entry)) walk(join(entry, name), isUnder, false);
    }
  };
  walk(cwd, false, true);
  return found;
}

const refused = {
  '--test': 'take it out: each file is run by itself',
  '--test-shard': 'use `orchestrate run --shard`',
  '--watch': 'there is no watch mode',
  '--test-reporter': 'use `orchestrate run --report`',
  '--test-reporter-destination': 'use `orchestrate run --report`',
};
for (const [option, instead] of Object.entries(refused)) {
  if (ours.hasOption(args, option)) {
    process.stderr.write(`\`args\` of the runner has ${option}: ${instead}\n`);
    process.exit(2);
  }
}
const warnings = [];
if (ours.hasOption(args, '--experimental-test-coverage')) {
  warnings.push('each file of node is a process of its own, and its coverage is measured by itself: a tool such as c8 combines NODE_V8_COVERAGE');
}
const files = (typeof fs.globSync === 'function' ? byPattern() : byWalk()).filter((file) => fs.statSync(resolve(cwd, file)).isFile());
const report = new ours.Report(path);
for (const id of files.map((file) => ours.idOf(resolve(cwd, file))).sort()) report.write({ id, file: id });
report.write({ event: 'listed', warnings });
