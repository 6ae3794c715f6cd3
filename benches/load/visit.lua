-- Visits of links b0, b1, … drawn by Zipf's law (s = 1), with the headers of browsers.
local links = tonumber(os.getenv("LINKS"))
local agents = {
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
  "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
}
local ready = {}
function init()
  local sums, total = {}, 0
  for n = 1, links do
    total = total + 1 / n
    sums[n] = total
  end
  math.randomseed(os.time())
  for i = 1, 32768 do
    local x, low, high = math.random() * total, 1, links
    while low < high do
      local middle = math.floor((low + high) / 2)
      if sums[middle] < x then low = middle + 1 else high = middle end
    end
    ready[i] = wrk.format("GET", "/b" .. (low - 1), {
      ["User-Agent"] = agents[i % 3 + 1], ["Accept-Language"] = "en-GB,en;q=0.8",
      ["Referer"] = "https://news.example.org/item?id=" .. i % 50, ["Host"] = "127.0.0.1",
    })
  end
end
local i = 0
function request() i = i % #ready + 1; return ready[i] end
