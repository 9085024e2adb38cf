// vitest for `orchestrate`, from version 1 on:
//
//     orchestrate_vitest.mjs list REPORT VITEST [ARGUMENT…]
//     orchestrate_vitest.mjs run VITEST WORKERS [ARGUMENT…] [--orchestrate-select NAME…] --orchestrate-items FILE…
//
// It is the script that starts vitest, and vitest's reporter. vitest hands a reporter its context before it looks for test
// files; there the list of files is taken (`list`) or narrowed to the job's items (`run`). A test is FILE::SUITE > TEST, or
// FILE[PROJECT]::SUITE > TEST. vitest's own JUnit calls tests passed whose worker died under them.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

const ours = createRequire(import.meta.url)('./orchestrate_javascript.cjs');

// Reporters that print and leave no file.
const PRINTING = ['default', 'basic', 'verbose', 'dot', 'tap', 'tap-flat', 'tree', 'agent', 'hanging-process', 'github-actions'];
const [task, ...words] = process.argv.slice(2);
const { words: rest, select, items } = ours.parse(words);
const isList = task === 'list';
const isWhole = process.env.ORCHESTRATE_ONE_PROCESS === '1';
const report = new ours.Report(isList ? rest.shift() : process.env.ORCHESTRATE_REPORT);
const [program, ...following] = rest;
const workers = isList ? '1' : following.shift();
const args = following;

const projectOf = (spec) => spec.project ?? spec[0];
const fileOf = (spec) => spec.moduleId ?? spec[1];
const nameOf = (project) => (typeof project.name === 'string' ? project.name : project.getName?.()) ?? '';

/** An item of each specification: with its project where there are several, and the project has a name. */
function itemsOf(specs) {
  const projects = new Set(specs.map((spec) => nameOf(projectOf(spec))));
  return specs.map((spec) => {
    const project = nameOf(projectOf(spec));
    return { spec, path: fileOf(spec), project, id: ours.idOf(fileOf(spec), projects.size > 1 ? project : '') };
  });
}

/** Lists and ends, or narrows what vitest has found to the items of the job. */
function chosen(context, specs) {
  const all = itemsOf(specs);
  if (isList) {
    const seen = new Set();
    for (const { id, path, project } of all.sort((a, b) => (a.id < b.id ? -1 : 1))) {
      // One file may be run and have its types checked.
      if (seen.has(id)) continue;
      seen.add(id);
      report.write({ id, file: ours.idOf(path), tags: project && id.endsWith(']') ? [`project:${project}`] : [] });
    }
    report.write({ event: 'listed', ...verdict(context) });
    process.exit(0);
  }
  const asked = new Set(items);
  const left = all.filter((item) => asked.has(item.id));
  state.ids = new Map(left.map((item) => [`${item.project} ${item.path}`, item.id]));
  return left.map((item) => item.spec);
}

/** The reporters that the project's configuration names; those of the command line are vitest's own business. */
function configured(context) {
  const server = context.vite ?? context.server;
  const list = server?.config?.test?.reporters;
  return (Array.isArray(list) ? list : list ? [list] : []).filter((entry) => {
    const name = Array.isArray(entry) ? entry[0] : entry;
    return typeof name !== 'string' || !(PRINTING.includes(name) || name.startsWith('data:'));
  });
}

/** Why all files must run in one process of vitest, and what a person should know. */
function verdict(context) {
  const { config } = context;
  const projects = (context.projects ?? []).map((project) => project.config).concat(config);
  const reporters = configured(context);
  const reasons = [
    [config.coverage?.enabled, 'it measures coverage'],
    [projects.some((one) => [one?.globalSetup].flat().filter(Boolean).length > 0), 'it has a globalSetup'],
    [projects.some((one) => one?.browser?.enabled), 'it runs tests in a browser'],
    [projects.some((one) => one?.typecheck?.enabled), 'it checks types'],
    [projects.some((one) => one?.fileParallelism === false), 'its files must not run side by side (fileParallelism)'],
    [reporters.length > 0, 'it has reporters of its own'],
    [[config.outputFile].flat().filter(Boolean).length > 0, 'it writes an outputFile'],
    [config.snapshotOptions?.updateSnapshot === 'all', 'it updates snapshots'],
    [projects.some((one) => one?.sequence?.groupOrder), 'its projects have an order (groupOrder)'],
    [ours.hasOption(args, '--maxWorkers', '--minWorkers', '--poolOptions.threads.singleThread', '--poolOptions.forks.singleFork'), '`args` say how many workers it has'],
  ];
  const warnings = [];
  if (config.bail) warnings.push('`bail` of vitest is left out: `--max-fail` stops a run');
  return { 'one-process': reasons.find(([holds]) => holds)?.[1], warnings };
}

const state = { ids: new Map(), hasFailed: false };

/** Puts `chosen` behind what vitest finds its test files with: it has had several names. */
function narrow(context) {
  const places = [
    [context.specifications, 'getRelevantTestSpecifications'],
    [context, 'getRelevantTestSpecifications'],
    [context, 'filterTestsBySource'],
  ];
  const [holder, method] = places.find(([object, name]) => typeof object?.[name] === 'function') ?? [];
  if (!holder) {
    process.stderr.write(`vitest ${context.version ?? ''} is not supported: it has no list of test files that can be narrowed\n`);
    process.exit(3);
  }
  const original = holder[method].bind(holder);
  holder[method] = async (...values) => chosen(context, await original(...values));
}

/** What all versions have in common. */
class Base {
  constructor() {
    this.printed = new Map();
    this.begun = new Set();
    this.ended = new Set();
  }

  async onInit(context) {
    this.context = context;
    narrow(context);
    if (!isList && isWhole && !ours.hasOption(args, '--reporter')) await addReporters(context);
  }

  onUserConsoleLog({ taskId, content }) {
    this.printed.set(taskId, (this.printed.get(taskId) ?? '') + content);
  }

  fileId(project, path) {
    return state.ids.get(`${project} ${path}`) ?? ours.idOf(path);
  }

  start(id) {
    if (this.begun.has(id)) return;
    this.begun.add(id);
    report.started(id);
  }

  finish(file, name, outcome, seconds, message, errors, taskId) {
    const failure = (errors ?? []).map(told).join('\n');
    const output = [failure, this.printed.get(taskId)].filter(Boolean).join('\n');
    if (outcome === 'failed') state.hasFailed = true;
    report.finished(file, name, { outcome, seconds, message: message ?? errors?.[0]?.message?.split('\n')[0], output });
  }

  close(file, errors, lost) {
    if (this.ended.has(file)) return;
    this.ended.add(file);
    const message = errors[0]?.message ?? lost;
    if (message !== undefined || errors.length > 0) state.hasFailed = true;
    const outcome = message === undefined && errors.length === 0 ? 'passed' : 'errored';
    report.closed(file, { outcome, message: message && ours.plain(message).split('\n')[0], output: errors.map(told).join('\n') });
  }

  /** Files that have not ended have a reason that is nobody's but theirs. */
  closeAll(unhandled) {
    for (const id of state.ids.values()) {
      if (!this.ended.has(id)) this.close(id, unhandled, 'it did not end');
    }
    // An error that belongs to no test fails the run in vitest too.
    if (unhandled.length > 0 && !state.hasFailed) {
      state.hasFailed = true;
      report.write({ event: 'finished', id: '', outcome: 'failed', message: String(unhandled[0].message ?? unhandled[0]).split('\n')[0], output: unhandled.map(told).join('\n') });
    }
  }
}

const told = (error) => ours.plain(error?.stack || error?.message || String(error));

/** The reporter of vitest 3 and later. */
class Modules extends Base {
  id(module) {
    return this.fileId(module.project?.name ?? '', module.moduleId);
  }

  onTestModuleQueued(module) {
    this.start(this.id(module));
  }

  onTestModuleStart(module) {
    this.start(this.id(module));
  }

  onTestCaseReady(test) {
    this.start(`${this.id(test.module)}::${test.fullName}`);
  }

  onTestCaseResult(test) {
    const { state: outcome, errors, note } = test.result();
    if (outcome === 'pending') return;
    this.finish(this.id(test.module), test.fullName, outcome, (test.diagnostic()?.duration ?? 0) / 1000, note, errors, test.id);
  }

  onTestModuleEnd(module) {
    const tests = [...module.children.allTests()];
    const errors = [...module.errors(), ...[...module.children.allSuites()].flatMap((suite) => suite.errors())];
    // A worker that dies leaves tests without a result behind.
    const left = tests.filter((test) => test.result().state === 'pending');
    const ended = module.state() !== 'pending' && module.state() !== 'queued';
    const lost = left.length > 0 ? `its worker ended before ${left[0].fullName} had a result` : ended ? undefined : 'it did not end';
    this.close(this.id(module), errors, lost);
  }

  onTestRunEnd(_modules, unhandled) {
    this.closeAll([...unhandled]);
  }
}

/** The reporter of vitest 1 and 2, which send tasks. */
class Tasks extends Base {
  id(file) {
    return this.fileId(file.projectName ?? '', file.filepath);
  }

  onCollected(files = []) {
    for (const file of files) this.start(this.id(file));
  }

  onTaskUpdate(packs) {
    for (const [id] of packs) {
      const task = this.context.state.idMap.get(id);
      const how = task?.result?.state;
      if (task?.filepath !== undefined) {
        if (how === 'pass' || how === 'fail') this.end(task);
      } else if (how === 'run' && task.type !== 'suite') {
        this.start(`${this.id(task.file)}::${titleOf(task)}`);
      }
    }
  }

  end(file) {
    const id = this.id(file);
    if (this.ended.has(id)) return;
    const errors = [...(file.result?.errors ?? [])];
    let lost;
    for (const task of tasksOf(file)) {
      if (task.type === 'suite') {
        errors.push(...(task.result?.errors ?? []));
        continue;
      }
      const outcome = { pass: 'passed', fail: 'failed', skip: 'skipped', todo: 'skipped' }[task.result?.state ?? task.mode];
      if (!outcome) lost ??= `its worker ended before ${titleOf(task)} had a result`;
      else this.finish(id, titleOf(task), outcome, (task.result?.duration ?? 0) / 1000, task.result?.note, task.result?.errors, task.id);
    }
    this.close(id, errors, lost);
  }

  onFinished(files = [], unhandled = []) {
    for (const file of files) this.end(file);
    this.closeAll(unhandled);
  }
}

const tasksOf = (suite) => (suite.tasks ?? []).flatMap((task) => [task, ...tasksOf(task)]);
const titleOf = (task) => {
  const names = [];
  for (let one = task; one && one.filepath === undefined; one = one.suite) if (one.name) names.unshift(one.name);
  return names.join(' > ');
};

/** The project's own reporters, which the command line's would replace. They see a run that is one process. */
async function addReporters(context) {
  const found = configured(context);
  if (found.length === 0) return;
  const root = context.config.root;
  const builtIn = await import(pathToFileURL(join(packageFolder, 'dist', 'reporters.js')).href).catch(() => ({}));
  const node = await import(pathToFileURL(join(packageFolder, 'dist', 'node.js')).href).catch(() => ({}));
  const known = builtIn.ReportersMap ?? node.ReportersMap ?? {};
  for (const entry of found) {
    const [reference, options] = Array.isArray(entry) ? entry : [entry, {}];
    let reporter = reference;
    if (typeof reference === 'string') {
      const Class = known[reference] ?? (await import(reference.startsWith('.') || reference.startsWith('/') ? pathToFileURL(join(root, relative(root, join(root, reference)))).href : reference)).default;
      reporter = new Class(options ?? {});
    }
    context.reporters.push(reporter);
    await reporter.onInit?.(context);
  }
}

const script = ours.scriptOf(program, 'vitest', 'vitest.mjs');
const packageFolder = dirname(script);
const version = Number.parseInt(JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')).version, 10);

const instead = { '--shard': '`orchestrate run --shard`', '--watch': 'no watch mode', '-w': 'no watch mode' };
for (const [option, use] of Object.entries(instead)) {
  if (isList && ours.hasOption(args, option)) {
    process.stderr.write(`\`args\` of the runner has ${option}: take it out, and use ${use}\n`);
    process.exit(2);
  }
}

/** How many workers vitest has: one, since jobs run side by side, or all of the group's where it is one process. */
function parallelism() {
  if (isList) return ['--coverage.clean=false'];
  if (!isWhole) return ['--no-file-parallelism', '--bail=0'];
  if (ours.hasOption(args, '--maxWorkers', '--minWorkers', '--no-file-parallelism', '--fileParallelism')) return ['--bail=0'];
  return [`--maxWorkers=${workers}`, ...(version < 4 ? ['--minWorkers=1'] : []), '--bail=0'];
}

/** What vitest finds wrong with the whole, such as too little coverage, is a failed test that is called like the group. */
function judgeTheWhole() {
  const complaints = [];
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream);
    stream.write = (text, ...more) => {
      const found = ours.plain(text).match(/Coverage for .* does not meet .*threshold.*/g);
      if (found) complaints.push(...found);
      return write(text, ...more);
    };
  }
  process.on('exit', (code) => {
    if (code === 0 || state.hasFailed) return;
    const message = complaints[0] ?? `vitest exited with code ${code}`;
    report.write({ event: 'finished', id: '', outcome: 'failed', message, output: complaints.join('\n') });
  });
}

// vite refuses to load a file from outside of the project. What this address says is loaded by Node itself.
globalThis[Symbol.for('orchestrate.vitest')] = version < 3 ? Tasks : Modules;
const address = "data:text/javascript,export default globalThis[Symbol.for('orchestrate.vitest')]";
const pattern = select.length > 0 ? [`--testNamePattern=${ours.namePattern(select)}`] : [];
if (!isList) judgeTheWhole();
process.argv = [process.argv[0], script, 'run', ...parallelism(), `--reporter=${address}`, ...args, ...pattern];
await import(pathToFileURL(script).href);
