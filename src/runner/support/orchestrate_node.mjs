// What tells `orchestrate` of the tests in a file for Node's own runner, as JSON lines: a test is FILE::SUITE > TEST.
//
// It is imported before the file, and is the reporter as well. The file runs in this process and not below `node --test`:
// that calls a file passed whose process exits with 0 in the middle of a test, and knows nothing of its tests if it is killed.
//
// As a script it starts Node once more, with patterns for the names of the tests that are selected:
//
//     orchestrate_node.mjs --orchestrate-select NAME… --orchestrate-items [ARGUMENT…] FILE
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { inspect } from 'node:util';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';

const ours = createRequire(import.meta.url)('./orchestrate_javascript.cjs');
const isScript = process.argv[1] === fileURLToPath(import.meta.url);
if (isScript) select();

// What the file forks, and its threads, import this too.
const isFile = !isScript && isMainThread && process.env.ORCHESTRATE_NODE === undefined && process.argv[1] !== undefined;
const id = isFile ? ours.idOf(process.argv[1]) : '';
const report = isFile ? new ours.Report(process.env.ORCHESTRATE_REPORT) : undefined;
let hasTests = false;

if (isFile) {
  process.env.ORCHESTRATE_NODE = String(process.pid);
  report.started(id);
  process.on('exit', (code) => {
    // A file without a test is one.
    if (!hasTests) report.closed(id, { outcome: code === 0 ? 'passed' : 'failed', message: code === 0 ? undefined : `exited with code ${code}` });
  });
}

/**
 * Runs Node with patterns that match the selected tests, and every test on the way to them: Node 20 compares each name by
 * itself, later versions the names that lead to a test, and neither runs a subtest whose parent does not match.
 */
function select() {
  const { select: names, items: command } = ours.parse(process.argv.slice(1));
  const levels = new Set(names.flatMap((name) => name.split(' > ')));
  const escape = (text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  const patterns = [...levels].map((name) => `--test-name-pattern=^${escape(name)}$`);
  const child = spawn(process.execPath, [...process.execArgv, ...patterns, ...command], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    for (const known of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(known);
    process.kill(process.pid, signal);
  });
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
      const output = outcome === 'passed' ? '' : inspect(error?.cause ?? error ?? '');
      const seconds = (details?.duration_ms ?? 0) / 1000;
      report?.finished(id, path, { outcome, seconds, message, output });
    }
  }
  report?.closed(id, { outcome: 'passed' });
  yield '';
}
