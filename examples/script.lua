-- Hooks of examples/script.yaml. Editors know req, res and weir by examples/weir.lua.

local BOT = weir.regex("(?i)bot|crawler|spider")
local SECRET = "change me"

--- Before the request goes anywhere: answer it, or change it.
function on_request(req)
  if req.path == "/teapot" then
    return { status = 418, headers = { ["x-why"] = "lua" }, body = "short and stout\n" }
  end

  -- Links that were signed: ?expires=1700000000&signature=<hex>
  if req.path:match("^/signed/") then
    local expires, signature = (req.query or ""):match("^expires=(%d+)&signature=(%x+)$")
    local expected = expires and weir.hmac.sha256(SECRET, req.path .. "\n" .. expires)
    if not expected or not weir.hmac.equal(signature, expected)
      or tonumber(expires) < weir.time.now() then
      return { status = 403, body = "this link is not valid\n" }
    end
  end

  -- Who asks is looked up at another service, and kept for a minute for all workers.
  local token = req.headers:get("x-token")
  if token then
    local key = "user:" .. token
    local user = weir.kv.get(key)
    if not user then
      local answer, why = weir.http({ upstream = "users", path = "/whois", headers = { ["x-token"] = token } })
      if not answer then
        weir.log("warn", "no answer from users: " .. why)
        return { status = 503, body = "try again later\n" }
      end
      user = answer.status == 200 and weir.json.decode(answer.body).name or ""
      weir.kv.set(key, user, 60)
    end
    req.headers:set("x-user", user)
  end

  if BOT:test(req.headers:get("user-agent") or "") then
    req:upstream("slow")
  end
end

--- Before the response goes to the client.
function on_response(req, res)
  res.headers:set("x-by", "weir")
  if res.status == 404 then
    weir.kv.incr("missing:" .. req.path, 1, 3600)
  end
end

--- When both are over.
function on_log(req, res)
  if res.duration > 1 then
    weir.log("warn", req.method .. " " .. req.path .. " took " .. res.duration .. " s")
  end
end
