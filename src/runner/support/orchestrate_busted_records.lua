-- What orchestrate_busted.lua is asked for and what it tells: ids by file, results, and lines of JSON. It knows nothing of busted.

-- Kept, since a test may replace what is global.
local concat, insert = table.concat, table.insert
local gsub, match, find, sub, byte, format, gmatch =
  string.gsub, string.match, string.find, string.sub, string.byte, string.format, string.gmatch
local pairs, ipairs, type, tostring = pairs, ipairs, type, tostring
local isfile = require('pl.path').isfile

local escapes = { ['"'] = '\\"', ['\\'] = '\\\\', ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t' }

local function json(value)
  if type(value) == 'number' then
    if value % 1 == 0 then
      return format('%d', value)
    end
    -- Whatever a locale writes for the point.
    return (gsub(format('%.6f', value), ',', '.'))
  elseif type(value) == 'table' then
    local parts = {}
    for index, element in ipairs(value) do
      parts[index] = json(element)
    end
    return '[' .. concat(parts, ',') .. ']'
  end
  return '"' .. gsub(tostring(value), '[%c"\\]', function(c)
    return escapes[c] or format('\\u%04x', byte(c))
  end) .. '"'
end

-- A record as a line.
local function encode(record)
  local parts = {}
  for key, value in pairs(record) do
    insert(parts, json(key) .. ':' .. json(value))
  end
  return '{' .. concat(parts, ',') .. '}\n'
end

-- The files that were asked for, each with the ids that are wanted of it; `whole` where it is one test itself.
local function ask(ids)
  local files, known = {}, {}
  local function file_of(id)
    local from = 1
    while true do
      local at, to = find(id, '::', from, true)
      if not at then
        return id
      end
      local name = sub(id, 1, at - 1)
      if known[name] or isfile(name) then
        return name
      end
      from = to + 1
    end
  end
  for _, id in ipairs(ids) do
    local name = file_of(id)
    local file = known[name]
    if not file then
      file = { name = name, wanted = {}, order = {}, begun = {}, told = {}, left = 0, counts = {}, tests = {}, listed = {} }
      known[name] = file
      insert(files, file)
    end
    file.whole = file.whole or name == id
    file.wanted[id] = true
    file.left = file.left + 1
    insert(file.order, id)
  end
  return files, known
end

local function split(text)
  local parts = {}
  for part in gmatch(text, '[^\31]+') do
    insert(parts, part)
  end
  return parts
end

local function result(id, outcome, seconds, why)
  local message = why and match(why.message, '[^\n]*')
  return { id = id, outcome = outcome, seconds = seconds or 0, message = message, output = why and why.output or '' }
end

-- What has run without an error, and then has one.
local function spoil(record, why)
  if record.outcome == 'passed' or record.outcome == 'skipped' then
    record.outcome = 'errored'
    record.message = match(why.message, '[^\n]*')
  end
  record.output = record.output .. why.output
end

-- Several tests in one result.
local function merge(sum, record)
  sum.seconds = sum.seconds + record.seconds
  sum.output = sum.output .. record.output
  local bad = { failed = 1, errored = 2 }
  if (bad[record.outcome] or 0) > (bad[sum.outcome] or 0) then
    sum.outcome = record.outcome
    sum.message = record.id .. ': ' .. (record.message or '')
  elseif record.outcome == 'passed' and sum.outcome == 'skipped' then
    sum.outcome = 'passed'
  end
end

return { ask = ask, split = split, encode = encode, result = result, spoil = spoil, merge = merge }
