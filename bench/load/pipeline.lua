-- wrk with so many requests in flight on each connection: wrk -s pipeline.lua URL -- 16
init = function(args)
  local requests = {}
  for i = 1, tonumber(args[1]) do
    requests[i] = wrk.format()
  end
  batch = table.concat(requests)
end

request = function()
  return batch
end
