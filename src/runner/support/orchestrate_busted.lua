-- An output handler for busted that writes what it is told as JSON lines, for `orchestrate`: a test is FILE::ITS FULL NAME.
local report = assert(io.open(os.getenv('ORCHESTRATE_REPORT'), 'a'))
report:setvbuf('no')

local escapes = { ['"'] = '\\"', ['\\'] = '\\\\', ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t' }

local function quoted(text)
  local safe = tostring(text):gsub('[%c"\\]', function(c)
    return escapes[c] or ('\\u%04x'):format(c:byte())
  end)
  return '"' .. safe .. '"'
end

local function write(record)
  local parts = {}
  for key, value in pairs(record) do
    parts[#parts + 1] = quoted(key) .. ':' .. (type(value) == 'number' and ('%.6f'):format(value) or quoted(value))
  end
  -- One write a line, so that a crash tears none that came before it.
  report:write('{' .. table.concat(parts, ',') .. '}\n')
end

return function(options)
  local busted = require 'busted'
  local handler = require 'busted.outputHandlers.base'()
  local messages, broken = {}, {}

  local function file_of(element)
    while element and element.descriptor ~= 'file' do
      element = busted.parent(element)
    end
    return element and (element.name:gsub('^%./', '')) or nil
  end

  local function id_of(element)
    return (file_of(element) or '?') .. '::' .. handler.getFullName(element)
  end

  local function text_of(message, trace)
    local text = type(message) == 'string' and message or require('pl.pretty').write(message)
    return text, text .. (trace and trace.traceback or '')
  end

  handler.fileStart = function(element)
    write({ event = 'started', id = file_of(element), at = busted.monotime() })
    return nil, true
  end

  handler.fileEnd = function(element)
    local file = file_of(element)
    local why = broken[file]
    write({
      event = 'finished',
      id = file,
      outcome = why and 'errored' or 'passed',
      message = why and why.message:match('[^\n]*') or nil,
      output = why and why.output or '',
    })
    return nil, true
  end

  handler.testStart = function(element)
    write({ event = 'started', id = id_of(element), at = busted.monotime() })
    return nil, true
  end

  handler.failed = function(element, parent, message, trace)
    local short, long = text_of(message, trace)
    if element.descriptor == 'it' then
      messages[element] = { message = short, output = long }
    else
      -- A hook, a `describe` or the file itself.
      local file = file_of(element) or file_of(parent)
      if file then
        broken[file] = broken[file] or { message = short, output = long }
      end
    end
    return nil, true
  end

  local outcomes = { success = 'passed', pending = 'skipped', failure = 'failed', error = 'failed' }

  handler.testEnd = function(element, parent, status)
    local why = messages[element] or {}
    local note = status == 'pending' and type(element.message) == 'string' and element.message or nil
    write({
      event = 'finished',
      id = id_of(element),
      outcome = outcomes[status] or 'errored',
      seconds = element.duration or 0,
      message = why.message and why.message:match('[^\n]*') or note,
      output = why.output or '',
    })
    return nil, true
  end

  busted.subscribe({ 'file', 'start' }, handler.fileStart)
  busted.subscribe({ 'file', 'end' }, handler.fileEnd)
  busted.subscribe({ 'test', 'start' }, handler.testStart)
  busted.subscribe({ 'test', 'end' }, handler.testEnd)
  busted.subscribe({ 'failure' }, handler.failed)
  busted.subscribe({ 'error' }, handler.failed)
  return handler
end
