-- For wrk: posts the bodies of a file in turn, one a line, and tells what came of it as JSON.
-- Arguments: the file, milliseconds of pause before each request, then headers as name=value.

function init(arguments)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  pause_ms = tonumber(arguments[2])
  for i = 3, #arguments do
    local name, value = arguments[i]:match("^(.-)=(.*)$")
    wrk.headers[name] = value
  end
  requests, turn = {}, 0
  for body in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format(nil, nil, nil, body)
  end
  if pause_ms > 0 then
    -- Spread, or the connections would go on in step.
    delay = function() return math.random(0, 2 * pause_ms) end
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "duration_s": %f, "median_ms": %f, "p99_ms": %f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
