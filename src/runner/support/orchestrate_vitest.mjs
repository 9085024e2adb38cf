// A reporter for vitest, from 3 on, that writes what it is told as JSON lines, for `orchestrate`: a test is
// FILE::SUITE > TEST. Vitest's own JUnit calls tests passed whose worker died under them.
import { openSync, writeSync } from 'node:fs';
import { relative } from 'node:path';

const at = () => Number(process.hrtime.bigint()) / 1e9;

export default class Reporter {
  constructor() {
    this.report = openSync(process.env.ORCHESTRATE_REPORT, 'a');
    this.finished = new Set();
    this.printed = new Map();
  }

  onUserConsoleLog({ taskId, content }) {
    this.printed.set(taskId, (this.printed.get(taskId) ?? '') + content);
  }

  write(record) {
    writeSync(this.report, JSON.stringify(record) + '\n');
  }

  id(module) {
    return relative(process.cwd(), module.moduleId);
  }

  onTestModuleStart(module) {
    this.write({ event: 'started', id: this.id(module), at: at() });
  }

  onTestCaseReady(test) {
    this.write({ event: 'started', id: this.name(test), at: at() });
  }

  name(test) {
    return `${this.id(test.module)}::${test.fullName}`;
  }

  onTestCaseResult(test) {
    const { state, errors, note } = test.result();
    if (state === 'pending') return;
    const failure = (errors ?? []).map((error) => error.stack || String(error.message)).join('\n');
    const text = [failure, this.printed.get(test.id)].filter(Boolean).join('\n');
    const seconds = (test.diagnostic()?.duration ?? 0) / 1000;
    const message = note ?? errors?.[0]?.message?.split('\n')[0];
    this.write({ event: 'finished', id: this.name(test), outcome: state, seconds, message, output: text });
  }

  onTestModuleEnd(module) {
    const errors = module.errors();
    const tests = [...module.children.allTests()];
    // A worker that dies leaves tests without a result behind.
    const lost = tests.filter((test) => test.result().state === 'pending');
    const failed = errors.length > 0 || lost.length > 0 || module.state() === 'pending' || module.state() === 'queued';
    const message = errors[0]?.message ?? (lost.length > 0 ? `its worker ended before ${lost[0].fullName} had a result` : undefined);
    this.write({
      event: 'finished',
      id: this.id(module),
      outcome: failed ? 'errored' : 'passed',
      message: message?.split('\n')[0],
      output: errors.map((error) => error.stack || String(error.message)).join('\n'),
    });
    this.finished.add(this.id(module));
  }

  onTestRunEnd(modules, unhandled) {
    for (const module of modules) {
      if (this.finished.has(this.id(module))) continue;
      const why = unhandled.map((error) => String(error.message ?? error));
      this.write({ event: 'finished', id: this.id(module), outcome: 'errored', message: why[0] ?? 'it did not end', output: why.join('\n') });
    }
  }
}
