// Shared by the scripts for jest, vitest, node and mocha: the report, the command line, the names of tests.
'use strict';
const { closeSync, openSync, readSync, realpathSync, writeSync } = require('node:fs');
const { createRequire } = require('node:module');
const { dirname, join, relative, resolve, sep } = require('node:path');

// These words divide the command lines of our scripts; no test tool has such options.
const SELECT = '--orchestrate-select';
const ITEMS = '--orchestrate-items';

/** Text that JSON can carry: a lone surrogate is replaced, as UTF-8 encoders do. */
const wellFormed = (text) =>
  text.replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, (match) => (match.length === 2 ? match : '\ufffd'));

// A test may replace these; the report must not change with them.
const stringify = JSON.stringify;
const now = process.hrtime.bigint;

/** Seconds of the monotonic clock. */
const clock = () => Number(now()) / 1e9;

/** Text without colours, which are for a terminal. */
const plain = (text) => String(text).replace(/\u001b\[[0-9;]*m/g, '');

/** A file of JSON lines. It is opened before any test is loaded. */
class Report {
  constructor(path) {
    this.file = openSync(path, 'a');
    this.inside = new Map();
  }

  write(record) {
    writeSync(this.file, stringify(record, (_, value) => (typeof value === 'string' ? wellFormed(value) : value)) + '\n');
  }

  /** A test or a file begins. */
  started(id) {
    this.write({ event: 'started', id, at: clock() });
  }

  /** A test in a file has ended. */
  finished(file, name, result) {
    this.inside.set(file, this.count(file) + 1);
    this.write({ event: 'finished', id: `${file}::${name}`, ...result });
  }

  /** A file has ended: the record carries the number of results of its tests, so that a lost one is noticed. */
  closed(file, result) {
    this.write({ event: 'finished', id: file, ...result, results: this.count(file) });
  }

  count(file) {
    return this.inside.get(file) || 0;
  }
}

/** The arguments of a script: [task, …rest up to SELECT, selected names, items]. */
function parse(words) {
  const items = words.lastIndexOf(ITEMS);
  const before = items < 0 ? words : words.slice(0, items);
  const select = before.indexOf(SELECT);
  return {
    words: select < 0 ? before : before.slice(0, select),
    select: select < 0 ? [] : before.slice(select + 1),
    items: items < 0 ? [] : words.slice(items + 1),
  };
}

/** The path as ids have it: relative to the folder in which the group runs. */
const idOf = (path, project) => relative(here, path).split(sep).join('/') + (project ? `[${project}]` : '');
const here = process.cwd();

/** [absolute path, project] of an item's id. A path may end in brackets itself. */
function itemOf(id, projects) {
  for (const project of projects) {
    if (project && id.endsWith(`[${project}]`)) return [resolve(here, id.slice(0, -project.length - 2)), project];
  }
  return [resolve(here, id), ''];
}

/** Whether a path names a script of Node and no other program. */
function isScript(path) {
  if (/\.[cm]?js$/.test(path)) return true;
  const bytes = Buffer.alloc(128);
  const file = openSync(path, 'r');
  const length = readSync(file, bytes, 0, 128, 0);
  closeSync(file);
  return /^#!.*\bnode\b/.test(bytes.toString('latin1', 0, length));
}

/** The script of a tool. Package managers may put a shell script in front of it; then it is looked up in the package. */
function scriptOf(program, packageName, bin) {
  const candidates = [];
  if (program.includes('/')) {
    candidates.push(() => realpathSync(resolve(here, program)));
  } else {
    for (const folder of (process.env.PATH || '').split(':')) candidates.push(() => realpathSync(join(folder, program)));
  }
  for (const candidate of candidates) {
    try {
      const path = candidate();
      if (isScript(path)) return path;
      break;
    } catch {
      // It is not there.
    }
  }
  try {
    const manifest = createRequire(join(here, 'package.json')).resolve(`${packageName}/package.json`);
    return join(dirname(manifest), bin);
  } catch {
    process.stderr.write(
      `there is no ${packageName} here (looked for ${program} and the package ${packageName} from ${here}): install it, or name it with \`with = { ${packageName} = "…" }\`\n`,
    );
    process.exit(127);
  }
}

/** A regular expression for the full names of these tests and of those in these suites; a tool joins names with a space. */
function namePattern(names) {
  const escaped = names.map((name) => name.split(' > ').map(escape).join('(?: > | )'));
  return `^ *(?:${escaped.join('|')})(?:$| )`;
}
const escape = (text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

/** Whether an option is among arguments: `--name`, `--name=value`, or a short form. */
const hasOption = (args, ...names) => args.some((arg) => names.some((name) => arg === name || arg.startsWith(`${name}=`)));

/** The slot of this worker, from 1: what tools that start workers of their own call a worker's number. */
const workerNumber = () => String(Number(process.env.ORCHESTRATE_SLOT || 0) + 1);

module.exports = { ITEMS, Report, SELECT, hasOption, idOf, itemOf, namePattern, parse, plain, scriptOf, wellFormed, workerNumber };
