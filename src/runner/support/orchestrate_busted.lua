-- An output handler for busted by which `orchestrate` lists tests, runs some of them, and is told of each: a test is
-- FILE::ITS FULL NAME, and FILE::ITS FULL NAME#2 is the second in a file of that name.
--
--     busted -o orchestrate_busted.lua -Xoutput list -Xoutput REPORT -Xoutput '\30' [-Xoutput FILES]
--     busted -o orchestrate_busted.lua -Xoutput run -Xoutput REPORT -Xoutput '\30' -Xoutput IDS
--     busted -o orchestrate_busted.lua -Xoutput session
--
-- It is busted that loads and runs: its loader is told which files, its filters have the last word, and what it publishes is
-- passed on. The files or ids come as one argument. They are not busted's own arguments, which are its ROOT: that is the
-- project's, and without FILES busted finds them itself, by its own settings (ROOT, pattern, exclude-pattern, recursive).

-- Kept, since a test may replace what is global.
local concat, insert = table.concat, table.insert
local match, gmatch, gsub = string.match, string.gmatch, string.gsub
local ipairs, type, error = ipairs, type, error
local unpack = table.unpack or unpack
local open, exit, stderr = io.open, os.exit, io.stderr
local pretty = require 'pl.pretty'

local folder = match(debug.getinfo(1, 'S').source, '^@(.*/)') or './'
local records = dofile(folder .. 'orchestrate_busted_records.lua')
local ask, split, encode = records.ask, records.split, records.encode
local result, spoil, merge = records.result, records.spoil, records.merge

return function(options)
  local api = require 'busted'
  local handler = require 'busted.outputHandlers.base'()
  local mode = options.arguments[1]
  -- busted splits each argument at commas.
  local mark = #options.arguments + 1
  for index, argument in ipairs(options.arguments) do
    if argument == '\30' then
      mark = index
      break
    end
  end
  local asked = concat(options.arguments, ',', mark + 1)
  local core, execute, load, find_files
  local files, known = {}, {}
  -- The file that runs; its test that runs; the last one that has ended, while what comes after it may still fail.
  local current, running, held
  -- What failed outside of any file.
  local stray
  local told

  if mode == 'session' then
    told = dofile(folder .. 'orchestrate_busted_session.lua')(encode)
  else
    local report = assert(open(concat(options.arguments, ',', 2, mark - 1), 'a'))
    report:setvbuf('no')
    told = {
      -- One write a line, so that a crash tears none that came before it.
      write = function(record)
        report:write(encode(record))
      end,
      printed = function()
        return ''
      end,
    }
  end

  local function started(id)
    if current and not current.begun[id] then
      current.begun[id] = true
      told.write({ event = 'started', id = id, at = api.monotime(), written = told.written and told.written() })
    end
  end

  -- Tells the last result.
  local function flush()
    if held then
      local record = held
      held = nil
      record.event = 'finished'
      local printed = told.printed(record.outcome ~= 'passed')
      record.output = printed .. record.output
      told.write(record)
    end
  end

  local function hold(file, record)
    flush()
    held = record
    if file.wanted[record.id] and not file.told[record.id] then
      file.told[record.id] = true
      file.left = file.left - 1
    end
  end

  -- Everything of a file has run that will: what has no result by now is told why.
  local function close(file)
    if file.closed then
      return
    end
    file.closed = true
    if file.whole then
      local sum = file.sum or result(file.name, 'passed')
      local why = file.uncharged
      if why then
        spoil(sum, why)
      end
      hold(file, sum)
    end
    local why = file.why or stray or { message = 'busted did not run it', output = '' }
    if file.left == 0 and file.uncharged and held and not file.whole then
      spoil(held, file.uncharged)
    end
    for _, id in ipairs(file.order) do
      if not file.told[id] then
        hold(file, result(id, 'errored', 0, why))
      end
    end
    -- Its teardown is over.
    flush()
  end

  -- Runs what was asked for.
  local function run(ids)
    files, known = ask(ids)
    stray, current, running, held = nil, nil, nil, nil
    local names = {}
    for index, file in ipairs(files) do
      names[index] = file.name
    end
    core.skipAll = false
    load(names)
    execute()
    for _, file in ipairs(files) do
      close(file)
    end
    stray = nil
    -- The next files take the place of these.
    local root = core.context.get()
    local children = core.context.children(root)
    for index = #children, 1, -1 do
      children[index] = nil
    end
    root.file = nil
  end

  local function file_of(element)
    while element and element.descriptor ~= 'file' do
      element = api.parent(element)
    end
    return element and known[element.name]
  end

  local function full_name(name)
    local names, parent = { name }, core.context.get()
    while parent and (parent.name or parent.descriptor) and parent.descriptor ~= 'file' do
      insert(names, 1, parent.name or parent.descriptor)
      parent = core.context.parent(parent)
    end
    return concat(names, ' ')
  end

  -- Each registration has a trace of its own, by which its test is known again.
  local function id_of(name, trace)
    local id = current.name .. '::' .. full_name(name)
    local count, numbered = 1, id
    while current.counts[numbered] do
      count = count + 1
      numbered = id .. '#' .. count
    end
    current.counts[numbered] = true
    if trace then
      current.tests[trace] = numbered
    end
    return numbered
  end

  -- What of a file was registered: busted's own filters come first.
  local function wants(name, _, trace)
    local id = current and id_of(name, trace)
    return nil, not current or mode == 'list' or current.whole or current.wanted[id] or false
  end
  api.subscribe({ 'register', 'it' }, wants, { priority = 1 })
  api.subscribe({ 'register', 'pending' }, wants, { priority = 1 })

  -- Lists the tests of files: `describe` runs, as it does in busted's own `--list`; tests and the hooks around them do not.
  local function list()
    local setups, filled = {}, {}
    local function fill()
      filled[core.context.get()] = true
      return nil, true
    end
    local function stub()
      return nil, false
    end
    for _, what in ipairs({ 'it', 'pending', 'describe' }) do
      api.subscribe({ 'register', what }, fill, { priority = 1 })
    end
    for _, hook in ipairs({ 'setup', 'strict_setup' }) do
      api.subscribe({ 'register', hook }, function()
        setups[core.context.get()] = true
        return stub()
      end, { priority = 1 })
    end
    for _, hook in ipairs({
      'teardown', 'strict_teardown', 'lazy_setup', 'lazy_teardown', 'before_each', 'after_each',
    }) do
      api.subscribe({ 'register', hook }, stub, { priority = 1 })
    end
    api.subscribe({ 'describe', 'end' }, function(element)
      -- It may be the `setup` of what it is in that decides what is in it: busted runs that before.
      local parent = api.parent(element)
      while parent and not filled[element] do
        if setups[parent] and current then
          current.why = true
        end
        parent = api.parent(parent)
      end
      return nil, true
    end)
    os.exit = function()
      error('os.exit was called while the tests were listed')
    end
    local names = find_files()
    if stray then
      exit(1, true)
    end
    files, known = ask(names)
    if #names > 0 then
      load(names)
      execute()
    end
    for _, file in ipairs(files) do
      -- What can't be listed is run whole, and is one test.
      for _, test in ipairs(file.why and { { id = file.name, file = file.name } } or file.listed) do
        told.write(test)
      end
    end
    local alone = package.loaded['luacov.runner'] and 'luacov writes one file of statistics' or nil
    told.write({ event = 'listed', ['one-process'] = alone })
    exit(0, true)
  end

  local function listed(element)
    local id, trace, tags = current.tests[element.trace], element.trace, {}
    for tag in gmatch(id, '#([%w_%-]+)') do
      insert(tags, tag)
    end
    local line = trace.source == '@' .. current.name and trace.currentline or nil
    insert(current.listed, { id = id, file = current.name, line = line, tags = tags, group = current.name })
  end

  local function serve()
    if mode == 'list' then
      list()
    elseif mode == 'run' then
      run(split(asked))
    else
      told.serve(run, function() return stray end)
    end
  end

  -- A test with the hooks around it.
  local function one(safe, descriptor, body, element)
    flush()
    local test = { element = element, id = current.tests[element.trace] }
    running = test
    if not current.whole then
      started(test.id)
    end
    local returned = { safe(descriptor, body, element) }
    running = nil
    local why = test.why or not test.outcome and (test.hook or current.why) or nil
    local record = result(test.id, test.outcome or 'errored', element.duration, why)
    if test.outcome and test.hook then
      spoil(record, test.hook)
    elseif test.outcome == 'skipped' then
      record.message = test.note
    end
    if current.whole then
      current.sum = current.sum or result(current.name, 'skipped')
      merge(current.sum, record)
    else
      hold(current, record)
    end
    return unpack(returned)
  end

  local tests = { it = true, pending = true }
  local before = { describe = true, strict_setup = true, setup = true }
  local after = { lazy_teardown = true, strict_teardown = true, teardown = true }

  -- From here on busted is complete: its loader is about to be told what to load.
  local loader = require 'busted.modules.test_file_loader'
  package.loaded['busted.modules.test_file_loader'] = function(busted, loaders)
    package.loaded['busted.modules.test_file_loader'] = loader
    core, execute = busted, busted.execute
    local load_files, _, all_files = loader(busted, loaders)
    local safe = busted.safe
    busted.safe = function(descriptor, body, element)
      if current and tests[descriptor] and mode == 'list' then
        return listed(element)
      elseif current and tests[descriptor] and not running then
        return one(safe, descriptor, body, element)
      elseif current and before[descriptor] and not running and current.left > 0 and mode ~= 'list' then
        -- Whoever comes next is charged if this ends the process.
        flush()
        for _, id in ipairs(current.order) do
          if not current.told[id] then
            started(id)
            break
          end
        end
      end
      return safe(descriptor, body, element)
    end
    busted.execute = function(element)
      if element then
        return execute(element)
      end
      return serve()
    end
    return function(roots, patterns, more)
      find_files = function()
        if asked ~= '' then
          return split(asked)
        end
        local names = all_files(roots, patterns, more)
        for index, name in ipairs(names) do
          names[index] = gsub(name, '^%./', '')
        end
        return names
      end
      load = function(names)
        load_files(names, patterns, more)
      end
    end
  end

  handler.fileStart = function(element)
    current = file_of(element)
    if current and mode ~= 'list' then
      started(current.order[1])
    end
    return nil, true
  end

  handler.fileEnd = function()
    if current and mode ~= 'list' then
      close(current)
    end
    current = nil
    return nil, true
  end

  handler.failed = function(element, parent, message, trace)
    local text = type(message) == 'string' and message or pretty.write(message)
    local why = { message = text, output = text .. (trace and trace.traceback or '') }
    local file = file_of(element) or file_of(parent) or current
    if running and element == running.element then
      running.why = running.why or why
    elseif running then
      -- The next one may have to do without the same hook, of which is told but once.
      running.hook = running.hook or why
      file.why = file.why or why
    elseif held and after[element.descriptor] then
      spoil(held, why)
    elseif file then
      file.why = file.why or why
      file.uncharged = file.uncharged or why
    else
      stray = stray or why
      stderr:write(why.output, '\n')
    end
    return nil, true
  end

  handler.pending = function(_, _, message)
    if running and type(message) == 'string' then
      running.note = match(message, '[^\n]*')
    end
    return nil, true
  end

  local outcomes = { success = 'passed', pending = 'skipped', failure = 'failed', error = 'failed' }

  handler.testEnd = function(_, _, status)
    if running then
      running.outcome = outcomes[status] or 'errored'
    end
    return nil, true
  end

  api.subscribe({ 'file', 'start' }, handler.fileStart)
  api.subscribe({ 'file', 'end' }, handler.fileEnd)
  api.subscribe({ 'test', 'end' }, handler.testEnd)
  api.subscribe({ 'pending' }, handler.pending)
  api.subscribe({ 'failure' }, handler.failed)
  api.subscribe({ 'error' }, handler.failed)
  return handler
end
