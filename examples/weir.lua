---@meta
-- What scripts of Weir have beside the language, for editors that read LuaLS annotations
-- (https://luals.github.io): put this file into the workspace. It is never run.

--- Header fields of a request or a response. Names in any case.
---@class weir.Headers
---@field [string] string? the first value of a field, as `get` has it
local Headers = {}

--- The first value of a field.
---@param name string
---@return string?
function Headers:get(name) end

--- All values of a field, in order.
---@param name string
---@return string[]
function Headers:get_all(name) end

--- All fields by name in lower case; the values of one name joined by ", ".
---@return table<string, string>
function Headers:all() end

--- Replaces all values of a field.
---@param name string
---@param value string|number
function Headers:set(name, value) end

--- Appends a value.
---@param name string
---@param value string|number
function Headers:add(name, value) end

--- Removes a field.
---@param name string
function Headers:remove(name) end

--- A request. What may be written may be so in `on_request` only.
---@class weir.Request
---@field method string may be written, but for HEAD and CONNECT
---@field path string normal form, percent-encoded; may be written: then it goes upstream as it is
---@field query string? without `?`; may be written
---@field headers weir.Headers
---@field host string? read only, as all that follows
---@field client_ip string?
---@field identity string? who asks, where the route authenticates
---@field id string the request's id
---@field route string the route's name
---@field context table yours, from hook to hook of one request
local Request = {}

--- The value of the first cookie of this name.
---@param name string
---@return string?
function Request:cookie(name) end

--- Sends the request to this upstream of the file instead of the route's.
---@param name string
function Request:upstream(name) end

--- A response.
---@class weir.Response
---@field status integer may be written in `on_response`
---@field headers weir.Headers
---@field upstream string? in `on_log`: where it came from
---@field endpoint string? in `on_log`: the endpoint that answered
---@field flag string? in `on_log`: why the gateway answered itself, or cut it off
---@field duration number? in `on_log`: seconds
---@field bytes number? in `on_log`: bytes of the body that were sent

--- A response that `on_request` makes itself.
---@class weir.Answer
---@field status? integer 200 by default
---@field headers? table<string, string|number|string[]>
---@field body? string

---@class weir.HttpRequest
---@field upstream string name of an upstream of the file
---@field method? string GET by default
---@field path? string with the query; `/` by default
---@field headers? table<string, string|number>
---@field body? string
---@field timeout? number seconds, 5 by default, at most 60

---@class weir.HttpResponse
---@field status integer
---@field headers table<string, string> by name in lower case
---@field body string

--- A compiled regular expression.
---@class weir.Regex
local Regex = {}

---@param text string
---@return boolean
function Regex:test(text) end

--- The groups, or the whole match where there are none; nil where nothing matches.
---@param text string
---@return string? ...
function Regex:match(text) end

--- The whole match at [0], groups by number and by name.
---@param text string
---@return table<integer|string, string>?
function Regex:captures(text) end

--- Replaces every match; `$1` or `${name}` stands for a group.
---@param text string
---@param with string
---@return string
function Regex:replace(text, with) end

---@class weir
weir = {}

--- Writes a line into the gateway's log: `weir.log("text")`, `weir.log("warn", "text")`.
---@overload fun(text: string)
---@param level "debug"|"info"|"warn"|"error"
---@param text string
function weir.log(level, text) end

--- Asks an upstream of the file, and waits for the answer without holding up anybody.
---@param request weir.HttpRequest
---@return weir.HttpResponse? answer
---@return string? why where there is none
function weir.http(request) end

--- A regular expression (RE2 syntax); best compiled once, outside of hooks.
---@param pattern string
---@return weir.Regex
function weir.regex(pattern) end

--- What all workers and all scripts of this gateway share.
weir.kv = {}
---@param key string
---@return string|number|boolean|nil
function weir.kv.get(key) end
---@param key string
---@param value string|number|boolean
---@param ttl? number seconds, 300 by default
function weir.kv.set(key, value, ttl) end
--- Sets where nothing is kept; whether nothing was.
---@param key string
---@param value string|number|boolean
---@param ttl? number
---@return boolean
function weir.kv.add(key, value, ttl) end
--- Adds to a number, which begins with 0; `ttl` counts from then.
---@param key string
---@param by? number 1 by default
---@param ttl? number
---@return number
function weir.kv.incr(key, by, ttl) end
--- Whether there was something.
---@param key string
---@return boolean
function weir.kv.remove(key) end

weir.json = {}
--- Stands for `null` in what is encoded.
weir.json.null = nil
---@param value any
---@return string
function weir.json.encode(value) end
--- `null` becomes nil.
---@param text string
---@return any
function weir.json.decode(text) end

weir.base64 = {}
---@param bytes string
---@return string
function weir.base64.encode(bytes) end
--- With `-` and `_`, without padding.
---@param bytes string
---@return string
function weir.base64.encode_url(bytes) end
--- Reads either alphabet; nil where it is none.
---@param text string
---@return string?
function weir.base64.decode(text) end

weir.hmac = {}
--- In hexadecimal digits.
---@param key string
---@param text string
---@return string
function weir.hmac.sha256(key, text) end
---@param key string
---@param text string
---@return string
function weir.hmac.sha512(key, text) end
--- Compares without telling by its time where two differ.
---@param one string
---@param other string
---@return boolean
function weir.hmac.equal(one, other) end

weir.time = {}
--- Seconds since 1970.
---@return number
function weir.time.now() end
--- A date as in HTTP; now by default.
---@param seconds? number
---@return string
function weir.time.http(seconds) end
--- Reads such a date; nil where it is none.
---@param text string
---@return number?
function weir.time.parse(text) end

--- Before the request goes anywhere. Nothing returned: it goes on.
---@param req weir.Request
---@return weir.Answer?
function on_request(req) end

--- Before a response goes to the client.
---@param req weir.Request
---@param res weir.Response
function on_response(req, res) end

--- When both are over.
---@param req weir.Request
---@param res weir.Response
function on_log(req, res) end
