-- busted's side of the session protocol (docs/session-protocol.md), for Lua as it comes: without sockets and without fork.
--
-- It is a worker itself: orders come over one named pipe and results go over another, while busted stays loaded.

local json = require 'dkjson'

local open, exit, clock = io.open, os.exit, os.clock
local stdout, stderr = io.stdout, io.stderr

return function(encode)
  -- In this order: each waits for the other side, which opens them in it too.
  local orders = assert(open(os.getenv('ORCHESTRATE_ORDERS'), 'r'))
  local answers = assert(open(os.getenv('ORCHESTRATE_ANSWERS'), 'w'))
  local output
  local from = 0
  -- What a test has printed must be seen if it then ends us.
  stdout:setvbuf('line')

  local told = {}
  -- What says that a line is ours: other processes of the user can write into the pipe as well.
  local key = ''

  function told.write(record)
    answers:write(key, encode(record))
    answers:flush()
  end

  -- How much was written by now, which is not the next test's.
  function told.written()
    stdout:flush()
    stderr:flush()
    from = output:seek('end')
    return from
  end

  -- What was written since.
  function told.printed(is_wanted)
    stdout:flush()
    stderr:flush()
    if not is_wanted then
      from = output:seek('end')
      return ''
    end
    output:seek('set', from)
    local text = output:read('*a') or ''
    from = from + #text
    return text
  end

  -- The variables of orders. The process's own can't be changed here, so what it starts does not see them.
  local variables, getenv = {}, os.getenv
  os.getenv = function(name)
    return variables[name] or getenv(name)
  end
  local function set(more)
    for name, value in pairs(more) do
      variables[name] = value
    end
  end

  local function memory()
    local status = open('/proc/self/status')
    local text = status and status:read('*a') or ''
    if status then
      status:close()
    end
    return (tonumber(text:match('VmHWM:%s*(%d+)')) or 0) * 1024
  end

  -- Serves orders until there are no more; `failed` says what went wrong with no test.
  function told.serve(run, failed)
    local line = orders:read('*l')
    local work = line and json.decode(line).work
    if not work then
      exit(1)
    end
    key = work.key
    output = assert(open(work.output, 'r'))
    set(work.env)
    told.write({ event = 'ready' })
    for line in orders:lines() do
      local order = json.decode(line).run
      local before = clock()
      set(order.env)
      run(order.ids)
      told.write({ event = 'done', pending = order.ids[#order.ids], cpu = clock() - before, memory = memory() })
    end
    require('busted').subscribe({ 'exit' }, function()
      told.write({ event = 'over' })
      exit(failed() and 1 or 0, true)
    end)
  end

  return told
end
