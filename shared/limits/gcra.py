"""The generic cell rate algorithm (GCRA), which a Redis script can take in as its first lines.

A limit lets `burst` requests through at once, and one more each `interval_us`. All that it keeps is one
number: when it will be full again, if nobody takes from it until then (the theoretical arrival time).

A limit whose interval is 0 is one of a day: `burst` requests until midnight in UTC, by the same clock.

Redis keys:

    limit:predict-day:tenant:{id}    string, requests since midnight. Likewise; expires at the next.
    limit:{name}:{who}    string, that time in microseconds of Redis's own clock. Written by the script that
                          takes; expires when the limit is full again, as no key means a full one.

Source: ITU-T I.371, annex A. Times are whole microseconds: Lua's numbers hold them exactly up to 2**53.
"""

from typing import Final

# take(key, now_us, wanted, burst, interval_us) -> granted, remaining, reset_us, retry_us
#   granted    0..wanted: as many as fit
#   remaining  how many more would fit now
#   reset_us   until the limit is full again
#   retry_us   until the next one fits; 0 if all were granted
# With wanted = 0 it only looks, and writes nothing.
TAKE_LUA: Final = """
local function take_of_day(key, now_us, wanted, most)
    local left_us = 86400000000 - now_us % 86400000000
    local fits = math.max(0, most - (tonumber(redis.call('GET', key)) or 0))
    local granted = math.min(wanted, fits)
    if granted > 0 then
        redis.call('INCRBY', key, granted)
        redis.call('PEXPIREAT', key, string.format('%.0f', (now_us + left_us) / 1000))
    end
    return granted, fits - granted, left_us, granted < wanted and left_us or 0
end
local function take(key, now_us, wanted, burst, interval_us)
    if tonumber(interval_us) == 0 then
        return take_of_day(key, now_us, wanted, tonumber(burst))
    end
    local full_us = burst * interval_us
    local tat = tonumber(redis.call('GET', key)) or now_us
    -- Not past a whole refill, or a clock set back or a limit made smaller would lock everybody out.
    tat = math.min(math.max(tat, now_us), now_us + full_us)
    local fits = math.floor((now_us + full_us - tat) / interval_us)
    local granted = math.min(wanted, fits)
    if granted > 0 then
        tat = tat + granted * interval_us
        local ttl_ms = math.ceil((tat - now_us) / 1000)
        -- Written out: Lua would round a number this long to 14 digits.
        redis.call('SET', key, string.format('%.0f', tat), 'PX', string.format('%.0f', ttl_ms))
    end
    local retry_us = 0
    if granted < wanted then
        retry_us = tat + interval_us - full_us - now_us
    end
    return granted, fits - granted, tat - now_us, retry_us
end
"""

# Redis's clock, as `take` wants it: the only one that all processes of the platform share.
NOW_US_LUA: Final = """
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
"""
