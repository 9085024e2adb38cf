// jest for `orchestrate`:
//
//     orchestrate_jest.cjs list REPORT JEST [ARGUMENT…]
//     orchestrate_jest.cjs run JEST WORKERS [ARGUMENT…] [--orchestrate-select NAME…] --orchestrate-items FILE…
//
// It is the script that starts jest, and jest's reporter. A test is FILE::SUITE > TEST, or FILE[PROJECT]::SUITE > TEST.
'use strict';
const { execFile } = require('node:child_process');
const { readFileSync, unlinkSync } = require('node:fs');
const { relative } = require('node:path');
const ours = require('./orchestrate_javascript.cjs');
const { LISTING, keyOf, state } = require('./orchestrate_jest_sequencer.cjs');

const OUTCOMES = { passed: 'passed', failed: 'failed', pending: 'skipped', todo: 'skipped', skipped: 'skipped', disabled: 'skipped' };
// Reporters that print and leave no file.
const PRINTING = ['default', 'summary', 'verbose', 'agent', 'github-actions'];
const SEQUENCER = require.resolve('./orchestrate_jest_sequencer.cjs');

class Reporter {
  constructor(globalConfig, _options, context) {
    this.report = state.report;
    this.early = new Map();
    this.others = state.reporters.map(([Class, options]) => new Class(globalConfig, options, context));
    for (const method of ['onRunStart', 'onTestFileStart', 'onTestStart', 'onTestCaseStart', 'onTestCaseResult', 'onTestFileResult', 'onTestResult', 'onRunComplete']) {
      const own = this[method]?.bind(this);
      this[method] = async (...values) => {
        own?.(...values);
        for (const other of this.others) await other[method]?.(...values);
      };
    }
  }

  /** The error that the project's own reporters end the run with. */
  getLastError() {
    for (const other of this.others) {
      const error = other.getLastError?.();
      if (error) return error;
    }
    return undefined;
  }

  /** jest may name another project with a single test, so a file of one project is found by its path alone. */
  id(test) {
    const ids = this.idsOf(test.path);
    return (ids.length === 1 ? ids[0] : state.ids.get(keyOf(test))) ?? ours.idOf(test.path);
  }

  /** The ids of a file: one for each project that it runs in. */
  idsOf(path) {
    this.byPath ??= [...state.ids].reduce((all, [key, id]) => {
      const own = key.slice(key.indexOf(' ') + 1);
      return all.set(own, [...(all.get(own) ?? []), id]);
    }, new Map());
    return this.byPath.get(path) ?? [];
  }

  onTestFileStart(test) {
    // jest would give each process the number 1.
    if (state.inBand) process.env.JEST_WORKER_ID = ours.workerNumber();
    this.report.started(this.id(test));
  }

  /** Whether a file runs in several projects: then only the file's result says which project it is of. */
  isShared(test) {
    return this.idsOf(test.path).length > 1;
  }

  onTestCaseStart(test, info) {
    if (this.isShared(test)) return;
    this.report.started(`${this.id(test)}::${[...(info.ancestorTitles ?? []), info.title].join(' > ')}`);
  }

  /** What has passed is reported at once. jest may try again what has failed: only the file's result has the last word on it. */
  onTestCaseResult(test, result) {
    if (result.status !== 'passed' || this.isShared(test)) return;
    const id = this.id(test);
    const name = nameOf(result);
    const key = `${id}::${name}`;
    this.early.set(key, (this.early.get(key) ?? 0) + 1);
    this.tell(id, name, result, '');
  }

  onTestFileResult(test, result) {
    const id = this.id(test);
    const printed = (result.console ?? []).map((entry) => `\n${entry.type}: ${entry.message}`).join('');
    for (const one of result.testResults) {
      const name = nameOf(one);
      const key = `${id}::${name}`;
      const early = one.status === 'passed' ? (this.early.get(key) ?? 0) : 0;
      if (early > 0) {
        this.early.set(key, early - 1);
        continue;
      }
      this.tell(id, name, one, printed);
    }
    // What keeps a file from running is told of the file.
    const broken = result.testExecError || (result.testResults.length === 0 && result.failureMessage);
    const why = ours.plain(result.failureMessage ?? '').trim();
    const message = why.split('\n').find((text) => text.trim() && !text.includes('●'));
    this.report.closed(id, broken ? { outcome: 'errored', message: message?.trim(), output: why } : { outcome: 'passed' });
  }

  tell(id, name, one, printed) {
    // jest reports as pending what `-t` leaves out.
    if (one.status === 'pending' && state.select.length > 0) return;
    const failure = ours.plain((one.failureMessages ?? []).join('\n'));
    this.report.finished(id, name, {
      outcome: OUTCOMES[one.status] ?? 'errored',
      seconds: (one.duration ?? 0) / 1000,
      message: one.status === 'todo' ? 'todo' : failure.split('\n')[0],
      // Nobody knows which of a file's tests printed what.
      output: failure && failure + printed,
    });
  }

  onRunComplete() {
    // Between workers, jest ends what a test has left open, and goes. One process would wait for it for ever.
    setTimeout(() => process.exit(), 1000).unref();
  }
}

const nameOf = (one) => [...(one.ancestorTitles ?? []), one.title].join(' > ');

/** The standard output of jest, run on its own. */
function output(script, args, env) {
  return new Promise((go, fail) => {
    const options = { env: { ...process.env, ...env }, maxBuffer: 1 << 30 };
    execFile(process.execPath, [...process.execArgv, script, ...args], options, (error, stdout, stderr) => {
      if (error) fail(new Error(`${stderr || stdout}`.trim() || error.message));
      else go(stdout);
    });
  });
}

const isOwn = (reporter) => !PRINTING.includes(Array.isArray(reporter) ? reporter[0] : reporter);

/** Why all files must run in one process of jest, and what a person should know. */
function verdict(shown, args) {
  const { globalConfig, configs } = shown;
  const names = (list) => list.map((entry) => (Array.isArray(entry) ? entry[0] : entry)).map((name) => relative(process.cwd(), name) || name);
  const reporters = (globalConfig.reporters ?? []).filter(isOwn);
  const setUp = [globalConfig, ...configs];
  const reasons = [
    [globalConfig.collectCoverage, 'it measures coverage'],
    [setUp.some((config) => config.globalSetup || config.globalTeardown), 'it has a globalSetup or globalTeardown'],
    [reporters.length > 0, `it has reporters of its own (${names(reporters).join(', ')})`],
    [globalConfig.testResultsProcessor, 'it has a testResultsProcessor'],
    [globalConfig.updateSnapshot === 'all', 'it updates snapshots'],
    [globalConfig.outputFile, 'it writes an outputFile'],
    [isOwnSequencer(globalConfig), 'it has a testSequencer'],
    [ours.hasOption(args, '-i', '--runInBand', '-w', '--maxWorkers'), '`args` say how many workers it has'],
  ];
  const warnings = [];
  if (globalConfig.bail) warnings.push('`bail` of jest is left out: `--max-fail` stops a run');
  return { 'one-process': reasons.find(([holds]) => holds)?.[1], warnings };
}

const isOwnSequencer = (config) => config.testSequencer && !/[\\/]@jest[\\/]test-sequencer[\\/]/.test(config.testSequencer);

/** `--shard` and the like choose tests by themselves, which a job must not do once more. */
function refuse(args) {
  const instead = { '--shard': '`orchestrate run --shard`', '--watch': 'no watch mode', '--watchAll': 'no watch mode', '--onlyFailures': '`orchestrate run --failed`', '-f': '`orchestrate run --failed`' };
  for (const [option, use] of Object.entries(instead)) {
    if (ours.hasOption(args, option)) {
      process.stderr.write(`\`args\` of the runner has ${option}: take it out, and use ${use}\n`);
      process.exit(2);
    }
  }
}

async function list([report, program, ...args]) {
  refuse(args);
  const script = ours.scriptOf(program, 'jest', 'bin/jest.js');
  const listing = `${report}.tests`;
  const sequencer = ['--listTests', `--testSequencer=${SEQUENCER}`];
  const [shown] = await Promise.all([
    output(script, ['--showConfig', ...args]).then(JSON.parse),
    output(script, [...sequencer, ...args], { [LISTING]: listing }),
  ]);
  const items = JSON.parse(readFileSync(listing, 'utf8'));
  unlinkSync(listing);
  if (isOwnSequencer(shown.globalConfig)) {
    const order = JSON.parse(await output(script, ['--listTests', '--json', ...args]));
    items.sort((a, b) => order.indexOf(a.path) - order.indexOf(b.path));
  } else {
    items.sort((a, b) => (a.id < b.id ? -1 : 1));
  }
  const out = new ours.Report(report);
  for (const { id, path, tags } of items) out.write({ id, file: ours.idOf(path), tags });
  out.write({ event: 'listed', ...verdict(shown, args) });
}

async function run([program, workers, ...args], select, items) {
  const script = ours.scriptOf(program, 'jest', 'bin/jest.js');
  Object.assign(state, { items, select, report: new ours.Report(process.env.ORCHESTRATE_REPORT) });
  const isWhole = process.env.ORCHESTRATE_ONE_PROCESS === '1';
  if (isWhole && !ours.hasOption(args, '--reporters')) {
    const { globalConfig } = JSON.parse(await output(script, ['--showConfig', ...args]));
    for (const [path, options] of (globalConfig.reporters ?? []).filter(isOwn)) state.reporters.push([await load(path), options]);
  }
  const isNumbered = ours.hasOption(args, '-i', '--runInBand', '-w', '--maxWorkers');
  state.inBand = !isWhole;
  const how = isNumbered ? [] : isWhole ? [`--maxWorkers=${workers}`] : ['--runInBand'];
  const chosen = select.length > 0 ? [`--testNamePattern=${ours.namePattern(select)}`] : [];
  judgeTheWhole();
  process.argv = [
    process.argv[0],
    script,
    // This option takes all words up to the next option: `args` may begin with a pattern.
    `--reporters=${__filename}`,
    ...how,
    '--bail=0',
    `--testSequencer=${SEQUENCER}`,
    ...args,
    ...chosen,
  ];
  require(script);
}

/** A reporter's class, of either kind of module. */
async function load(path) {
  try {
    const found = require(path);
    return found.default ?? found;
  } catch (error) {
    if (error.code !== 'ERR_REQUIRE_ESM') throw error;
    return (await import(path)).default;
  }
}

/** What jest finds wrong with the whole, such as too little coverage, is a failed test that is called like the group. */
function judgeTheWhole() {
  const complaints = [];
  const write = process.stderr.write.bind(process.stderr);
  process.stderr.write = (text, ...rest) => {
    const found = ours.plain(text).match(/^Jest: .*threshold.*$/gm);
    if (found) complaints.push(...found);
    return write(text, ...rest);
  };
  process.on('exit', () => {
    if (complaints.length === 0) return;
    const message = complaints[0].replace(/^Jest: /, '');
    state.report.write({ event: 'finished', id: '', outcome: 'failed', message, output: complaints.join('\n') });
  });
}

module.exports = Reporter;
if (require.main === module) {
  const { words, select, items } = ours.parse(process.argv.slice(2));
  const [task, ...rest] = words;
  const main = task === 'list' ? list(rest) : run(rest, select, items);
  main.catch((error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  });
}
