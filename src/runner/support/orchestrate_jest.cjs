// A reporter for jest that writes what it is told as JSON lines, for `orchestrate`: a test is FILE::SUITE > TEST.
const { openSync, writeSync } = require('node:fs');
const { relative } = require('node:path');

const OUTCOMES = { passed: 'passed', failed: 'failed', pending: 'skipped', todo: 'skipped', skipped: 'skipped', disabled: 'skipped' };
// A colour is for a terminal.
const plain = (text) => text.replace(/\u001b\[[0-9;]*m/g, '');

module.exports = class Reporter {
  constructor() {
    this.report = openSync(process.env.ORCHESTRATE_REPORT, 'a');
  }

  write(record) {
    writeSync(this.report, JSON.stringify(record) + '\n');
  }

  onTestFileStart(test) {
    const at = Number(process.hrtime.bigint()) / 1e9;
    this.write({ event: 'started', id: relative(process.cwd(), test.path), at });
  }

  onTestFileResult(test, result) {
    const id = relative(process.cwd(), test.path);
    const printed = (result.console ?? []).map((entry) => `\n${entry.type}: ${entry.message}`).join('');
    for (const one of result.testResults) {
      const failure = plain(one.failureMessages.join('\n'));
      // Nobody knows which of a file's tests printed what.
      const output = failure && failure + printed;
      this.write({
        event: 'finished',
        id: `${id}::${[...one.ancestorTitles, one.title].join(' > ')}`,
        outcome: OUTCOMES[one.status] ?? 'errored',
        seconds: (one.duration ?? 0) / 1000,
        message: one.status === 'todo' ? 'todo' : failure.split('\n')[0],
        output,
      });
    }
    // What keeps a file from running is told of the file.
    const broken = result.testExecError || (result.testResults.length === 0 && result.failureMessage);
    const why = plain(result.failureMessage ?? '').trim();
    this.write({
      event: 'finished',
      id,
      outcome: broken ? 'errored' : 'passed',
      message: broken ? why.split('\n').find((text) => text.trim() && !text.includes('●'))?.trim() : undefined,
      output: broken ? why : '',
    });
  }
};
