// What tells `orchestrate` of the tests in a file for Node's own runner, as JSON lines: a test is FILE::SUITE > TEST.
//
// It is imported before the file, and is the reporter as well. The file runs in this process and not below `node --test`:
// that calls a file passed whose process exits with 0 in the middle of a test, and knows nothing of its tests if it is killed.
//
// As a script it starts Node once more, with patterns for the names of the tests that are selected:
//
//     orchestrate_node.mjs --orchestrate-select NAME… --orchestrate-items [ARGUMENT…] FILE
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { inspect } from 'node:util';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';

const ours = createRequire(import.meta.url)('./orchestrate_javascript.cjs');
const isScript = process.argv[1] === fileURLToPath(import.meta.url);
if (isScript) await select();

// What the file forks, and its threads, import this too.
const isFile = !isScript && isMainThread && process.env.ORCHESTRATE_NODE === undefined && process.argv[1] !== undefined;
const id = isFile ? ours.idOf(process.argv[1]) : '';
const report = isFile ? new ours.Report(process.env.ORCHESTRATE_REPORT) : undefined;
// The tests that have their results from a run before this one.
const before = new Set();
let hasTests = false;

if (isFile) {
  process.env.ORCHESTRATE_NODE = String(process.pid);
  if (process.env.ORCHESTRATE_NODE_AGAIN !== undefined) {
    delete process.env.ORCHESTRATE_NODE_AGAIN;
    const ended = results(id);
    for (const name of ended) before.add(name);
    report.inside.set(id, ended.length);
  }
  report.started(id);
  process.on('exit', (code) => {
    // A file without a test is one.
    if (!hasTests) report.closed(id, { outcome: code === 0 ? 'passed' : 'failed', message: code === 0 ? undefined : `exited with code ${code}` });
  });
}

/**
 * Runs Node with patterns for the selected tests. A subtest runs only where each test that leads to it matches too, and then all
 * that is in these runs as well. A suite need not match. No name says which of both leads to a test; so what is not in the
 * report after a run without the names of parents has a second run with them.
 */
async function select() {
  const { select: names, items: command } = ours.parse(process.argv.slice(1));
  // Node 20 compares each name by itself, later versions also the names that lead to a test.
  const isByPath = Number.parseInt(process.versions.node, 10) >= 22;
  const levels = (name) => name.split(' > ');
  const escape = (text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  const exact = (name) => (isByPath ? levels(name).map(escape).join('(?: > | )') : escape(levels(name).at(-1)));
  const code = await run(names.map(exact), command, {});
  const file = ours.idOf(command.at(-1));
  const ended = results(file);
  const left = names.filter((name) => levels(name).length > 1 && !ended.some((one) => one === name || one.startsWith(`${name} > `)));
  // A file that can't be loaded has had its turn.
  if (left.length === 0 || (code !== 0 && ended.length === 0)) process.exit(code);
  const again = await run(left.flatMap(levels).map(escape), command, { ORCHESTRATE_NODE_AGAIN: '1' });
  process.exit(again || code);
}

/** The exit code of Node, run with patterns for whole names. */
function run(patterns, command, more) {
  const options = [...new Set(patterns)].map((pattern) => `--test-name-pattern=^${pattern}$`);
  const env = { ...process.env, ...more };
  const child = spawn(process.execPath, [...process.execArgv, ...options, ...command], { stdio: 'inherit', env });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const forward = (signal) => child.kill(signal);
  for (const signal of signals) process.on(signal, forward);
  return new Promise((go) => {
    child.on('exit', (code, signal) => {
      for (const known of signals) process.off(known, forward);
      if (signal === null) go(code);
      else process.kill(process.pid, signal);
    });
  });
}

/** The names of a file's tests that have a result in the report. */
function results(file) {
  const records = readFileSync(process.env.ORCHESTRATE_REPORT, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
  const ids = records.filter(({ event }) => event === 'finished').map(({ id }) => id);
  return ids.filter((id) => id.startsWith(`${file}::`)).map((id) => id.slice(file.length + 2));
}

/** How a test ended: [outcome, message]. */
function judge(type, data) {
  const text = (value) => (typeof value === 'string' ? value : undefined);
  if (data.skip !== undefined && data.skip !== false) return ['skipped', text(data.skip)];
  const todo = data.todo !== undefined && data.todo !== false;
  if (type === 'test:pass') return todo ? ['skipped', text(data.todo) ?? 'todo'] : ['passed'];
  const error = data.details?.error;
  const cause = error?.cause ?? error;
  const message = String(cause?.message ?? cause ?? 'failed').split('\n')[0];
  if (todo) return ['xfailed', text(data.todo) ?? message];
  return [error?.failureType === 'cancelledByParent' ? 'errored' : 'failed', message];
}

/** Called when the file says its first test, before that runs. No `function`: Node would take it for a class. */
export default (source) => {
  hasTests = true;
  return tell(source);
};

async function* tell(source) {
  // The names that lead to the test that is told of.
  let names = [];
  // An error after the test that caused it had ended: Node blames the file.
  let loose;
  for await (const { type, data } of source) {
    const { name, nesting, details } = data;
    if (type === 'test:dequeue') {
      report?.started(`${id}::${name}`);
    } else if (type === 'test:start') {
      names = [...names.slice(0, nesting), name];
    } else if (type === 'test:pass' || type === 'test:fail') {
      const error = details?.error;
      // A suite has no result but that of its tests, unless something of its own went wrong.
      if (details?.type === 'suite' && (type === 'test:pass' || error?.failureType === 'subtestsFailed')) continue;
      const [outcome, message] = judge(type, data);
      const path = [...names.slice(0, nesting), name].join(' > ');
      if (before.has(path)) continue;
      const output = outcome === 'passed' ? '' : inspect(error?.cause ?? error ?? '');
      const seconds = (details?.duration_ms ?? 0) / 1000;
      report?.finished(id, path, { outcome, seconds, message, output });
    } else if (type === 'test:diagnostic' && data.message.startsWith('Error: ')) {
      loose ??= data.message.slice('Error: '.length);
    }
  }
  report?.closed(id, loose === undefined ? { outcome: 'passed' } : { outcome: 'failed', message: loose });
  yield '';
}
