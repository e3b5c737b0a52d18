-- A JSON object of 1 kB.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"name":"world","text":"' .. string.rep("z", 1000) .. '"}'
