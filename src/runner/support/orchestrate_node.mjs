// What tells `orchestrate` of the tests in a file for Node's own runner, as JSON lines: a test is FILE::SUITE > TEST.
//
// It is imported before the file, and is the reporter as well. The file runs in this process and not below `node --test`:
// that calls a file passed whose process exits with 0 in the middle of a test, and knows nothing of its tests if it is killed.
import { openSync, writeSync } from 'node:fs';
import { relative } from 'node:path';
import { inspect } from 'node:util';
import { isMainThread } from 'node:worker_threads';

// What the file forks, and its threads, import this too.
const isFile = isMainThread && process.env.ORCHESTRATE_NODE === undefined && process.argv[1] !== undefined;
const id = isFile ? relative(process.cwd(), process.argv[1]) : '';
const report = isFile ? openSync(process.env.ORCHESTRATE_REPORT, 'a') : -1;
let hasTests = false;

function write(record) {
  if (isFile) writeSync(report, JSON.stringify(record) + '\n');
}

function start(name) {
  write({ event: 'started', id: name, at: Number(process.hrtime.bigint()) / 1e9 });
}

if (isFile) {
  process.env.ORCHESTRATE_NODE = String(process.pid);
  start(id);
  process.on('exit', (code) => {
    // A file without a test is one.
    if (!hasTests) write({ event: 'finished', id, outcome: code === 0 ? 'passed' : 'failed', message: code === 0 ? undefined : `exited with code ${code}` });
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
      start(`${id}::${name}`);
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
      write({ event: 'finished', id: `${id}::${path}`, outcome, seconds, message, output });
    }
  }
  write({ event: 'finished', id, outcome: 'passed' });
  yield '';
}
