-- wrk with POST and a body of so many bytes: wrk -s post.lua URL -- 1024
init = function(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/octet-stream"
  wrk.body = string.rep("x", tonumber(args[1]))
end
