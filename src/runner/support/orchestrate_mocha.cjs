// mocha for `orchestrate`, from version 9 on:
//
//     orchestrate_mocha.cjs list REPORT MOCHA [ARGUMENT…]
//     orchestrate_mocha.cjs run MOCHA [ARGUMENT…] [--orchestrate-select NAME…] --orchestrate-items FILE…
//
// It is the script that starts mocha, and mocha's reporter. mocha's own functions read the project's configuration; what
// they find is written to a configuration of the job, with the files that it is to load. A test is FILE::SUITE > TEST.
'use strict';
const { spawnSync } = require('node:child_process');
const { mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { dirname, join, relative } = require('node:path');
const ours = require('./orchestrate_javascript.cjs');

// mocha may run in a child process, for options of Node. This variable names the file that says what is to be done there.
const TASK = 'ORCHESTRATE_MOCHA_TASK';
const HOOKS = ['beforeAll', 'beforeEach', 'afterAll', 'afterEach'];
const PRINTING = ['dot', 'doc', 'tap', 'html', 'list', 'min', 'spec', 'nyan', 'progress', 'landing', 'json-stream', 'markdown'];

/** The names that lead to a test. */
const titles = (test) => (typeof test.titlePath === 'function' ? test.titlePath() : [test.fullTitle()]).join(' > ');

const firstLine = (error) => ours.plain(error?.message ?? error).split('\n')[0];

/** The top-level suites and tests, each with its file. */
const tops = (root) => [...root.suites, ...root.tests];
const countOf = (one) => (one.suites ? one.tests.length + one.suites.reduce((sum, suite) => sum + countOf(suite), 0) : 1);

class Reporter {
  constructor(runner, options) {
    const task = JSON.parse(readFileSync(process.env[TASK], 'utf8'));
    delete process.env[TASK];
    this.report = new ours.Report(task.report);
    if (task.isList) this.list(runner, options, task);
    else this.run(runner, task);
  }

  /** Each file whose tests a run without hooks and bodies comes by. */
  list(runner, options, task) {
    const root = runner.suite;
    const holding = new Set(tops(root).filter(countOf).map((one) => one.file));
    const files = new Set();
    for (const event of ['pass', 'pending', 'fail']) runner.on(event, (test) => files.add(test.file ?? test.parent?.file));
    const rootHooks = HOOKS.some((hook) => root[`_${hook}`].length > [options.rootHooks?.[hook]].flat().filter(Boolean).length);
    const hasOnly = root.hasOnly?.() ?? false;
    const helper = task.files.find((file) => !holding.has(file) && !task.always.includes(file));
    const setUp = task.always.find((file) => holding.has(file));
    const isAlone = [
      [[options.globalSetup, options.globalTeardown].flat().filter(Boolean).length > 0, 'it has a global setup or teardown'],
      [!task.isParallel && rootHooks, 'its files have hooks outside of any suite, which hold for the tests of all files'],
      [hasOnly, 'its files have tests marked as the only ones'],
      [setUp, `${setUp && ours.idOf(setUp)}, which is loaded with each file, holds tests`],
      [!task.isParallel && helper, `${helper && ours.idOf(helper)} holds no test, and is loaded for those of other files`],
    ].find(([holds]) => holds);
    runner.on('end', () => {
      for (const file of task.files.filter((file) => files.has(file))) {
        this.report.write({ id: ours.idOf(file), file: ours.idOf(file) });
      }
      this.report.write({ event: 'listed', 'one-process': isAlone?.[1], warnings: task.warnings });
    });
  }

  run(runner, task) {
    const asked = new Set(task.items);
    const of = (one) => one.file && ours.idOf(one.file);
    const isSelected = (test) => task.select.length === 0 || task.select.some((name) => `${titles(test)} > `.startsWith(`${name} > `));
    const prune = (suite) => {
      suite.tests = suite.tests.filter(isSelected);
      suite.suites.forEach(prune);
      suite.suites = suite.suites.filter((inner) => countOf(inner) > 0);
    };
    const { suite: root } = runner;
    root.suites = root.suites.filter((suite) => asked.has(of(suite)));
    root.tests = root.tests.filter((test) => asked.has(of(test)));
    if (task.select.length > 0) prune(root);
    runner.total = runner.grepTotal?.(root) ?? countOf(root);

    // A file is over when its suites, and its tests outside of any suite, are.
    const left = new Map();
    for (const one of tops(root)) left.set(of(one), (left.get(of(one)) ?? 0) + 1);
    const closed = new Set();
    let current;
    let broken;
    const close = (file, result = { outcome: 'passed' }) => {
      if (file === undefined || closed.has(file)) return;
      closed.add(file);
      this.report.closed(file, result);
    };
    const over = (one) => {
      const file = of(one);
      left.set(file, left.get(file) - 1);
      if (left.get(file) === 0) close(file);
    };
    const begin = (file) => {
      if (file === undefined || file === current) return;
      current = file;
      this.report.started(file);
    };
    const finish = (test, outcome, error) => {
      const file = of(test) ?? current ?? task.items[0];
      const output = error ? ours.plain(error.stack || error.message || String(error)) : '';
      const message = error && firstLine(error);
      this.report.finished(file, titles(test), { outcome, seconds: (test.duration ?? 0) / 1000, message, output });
    };
    runner.on('suite', (suite) => {
      if (suite.parent?.root) begin(of(suite));
    });
    runner.on('test', (test) => {
      begin(of(test));
      this.report.started(`${of(test)}::${titles(test)}`);
    });
    runner.on('pass', (test) => finish(test, 'passed'));
    runner.on('pending', (test) => finish(test, 'skipped'));
    runner.on('fail', (test, error) => {
      if (test.type !== 'hook') return finish(test, 'failed', error);
      // A hook is no test that could be run again: it is an error of its suite, or of the file.
      broken = { outcome: 'errored', message: `${test.title}: ${firstLine(error)}`, output: ours.plain(error?.stack ?? error) };
      const suite = test.parent;
      if (suite.root) close(current ?? of(test), broken);
      else this.report.finished(of(suite) ?? current, titles(suite), broken);
    });
    runner.on('test end', (test) => {
      if (test.parent?.root) over(test);
    });
    runner.on('suite end', (suite) => {
      if (suite.parent?.root) over(suite);
    });
    runner.on('end', () => {
      for (const item of task.items) {
        const isLost = broken !== undefined && this.report.count(item) === 0;
        close(item, isLost ? broken : undefined);
      }
    });
  }
}

module.exports = Reporter;

function main() {
  const { words, select, items } = ours.parse(process.argv.slice(2));
  const [kind, ...rest] = words;
  const isList = kind === 'list';
  const report = isList ? rest.shift() : process.env.ORCHESTRATE_REPORT;
  const [program, ...args] = rest;
  const script = ours.scriptOf(program, 'mocha', 'bin/mocha.js');
  const library = join(dirname(dirname(script)), 'lib', 'cli');
  const options = require(join(library, 'options.js')).loadOptions(args);
  if (isList && options.watch) {
    process.stderr.write('mocha is told to watch: take `watch` out of its configuration or of `args`\n');
    process.exit(2);
  }
  const folder = mkdtempSync(join(tmpdir(), 'mocha-'));
  const task = { isList, report, items, select, warnings: [], isParallel: Boolean(options.parallel), files: [], always: [] };
  const reporter = options.reporter ?? 'spec';
  if (!PRINTING.includes(reporter)) {
    task.warnings.push(`mocha's reporter ${relative(process.cwd(), reporter) || reporter} is left out: \`--report junit=PATH\` writes a report of all groups`);
  }
  if (options.bail) task.warnings.push('`bail` of mocha is left out: `--max-fail` stops a run');
  const always = [options.file ?? []].flat();
  if (isList || process.env.ORCHESTRATE_ONE_PROCESS === '1') {
    const specs = options._.length > 0 ? options._ : ['./test'];
    const found = require(join(library, 'collect-files.js'))({
      ignore: [options.ignore ?? []].flat(),
      extension: options.extension,
      file: always,
      recursive: options.recursive,
      sort: options.sort,
      spec: specs,
    });
    // Older versions return the list itself.
    task.files = [...new Set(found.files ?? found)];
    task.always = task.files.slice(0, always.length);
  }
  const settings = { ...options, reporter: __filename, bail: false, parallel: false };
  if (isList) settings['dry-run'] = true;
  settings.spec = task.files.length > 0 ? task.files.slice(always.length) : items.map((item) => `./${item}`);
  for (const key of ['_', '$0', 'b', 'p', 'R', 'config', 'package', 'opts', 'jobs', 'j', 'reporterOption', 'reporter-option', 'reporter-options', 'O', 'dryRun', 'spec']) {
    if (key !== 'spec') delete settings[key];
  }
  // mocha would take these for patterns.
  settings.spec = settings.spec.map((path) => path.replace(/[\\*?[\]{}()!+@]/g, '\\$&'));
  const config = join(folder, 'mocharc.json');
  writeFileSync(config, JSON.stringify(settings));
  process.env[TASK] = join(folder, 'task.json');
  writeFileSync(process.env[TASK], JSON.stringify(task));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  process.argv = [process.argv[0], script, '--no-package', '--config', config];
  require(script);
}

if (require.main === module) main();
