-- Creations of links, one a request.
wrk.method = "POST"
wrk.body = '{"url":"https://example.com/landing?utm_source=bench"}'
wrk.headers["Authorization"] = "Bearer " .. os.getenv("KEY")
wrk.headers["Content-Type"] = "application/json"
