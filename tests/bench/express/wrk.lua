-- wrk's part, the same for panicd and Express: the argument "create" posts panics, an id reads that one. Prints one line
-- of JSON.
function init(args)
   if args[1] == "create" then
      wrk.method = "POST"
      wrk.path = "/panic"
      wrk.headers["Content-Type"] = "application/json"
      wrk.body = '{"location":{"lat":-33.9,"lng":18.4},"metadata":{"triggerSource":"bench"}}'
   else
      wrk.path = "/panic/" .. args[1]
   end
end

function done(summary, latency)
   local errors = summary.errors
   local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
   io.write(string.format(
      '\n{"seconds":%.3f,"completed":%d,"failed":%d,"per_second":%.1f,"p50_us":%d,"p99_us":%d,"p999_us":%d,"max_us":%d}\n',
      summary.duration / 1e6, summary.requests - errors.status, failed,
      (summary.requests - errors.status) / summary.duration * 1e6,
      latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
