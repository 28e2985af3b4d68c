"""What an application does with redis-py, through the port in the first argument; any mistake is an exception."""

import sys

import redis

# From its version 8 on redis-py speaks RESP3 unless told otherwise, and does not fall back.
client = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]), protocol=2, decode_responses=True, socket_timeout=20)
assert client.ping()
assert client.set("py:a", "1") and client.get("py:a") == "1"
assert client.mset({f"py:{n}": n for n in range(50)})
assert client.mget([f"py:{n}" for n in range(50)]) == [str(n) for n in range(50)]
assert client.delete(*[f"py:{n}" for n in range(50)]) == 50

with client.pipeline(transaction=True) as pipe:
    assert pipe.set("{py}x", 5).incr("{py}x").get("{py}x").execute() == [True, 6, "6"]
with client.pipeline(transaction=False) as pipe:
    for n in range(200):
        pipe.rpush(f"py:list:{n % 7}", n)
    assert len(pipe.execute()) == 200
try:
    with client.pipeline(transaction=True) as pipe:
        pipe.execute_command("GET")
        pipe.execute()
    raise AssertionError("a transaction with a mistake was carried out")
except redis.ResponseError:
    pass

assert sorted(client.scan_iter("py:list:*", count=3)) == [f"py:list:{n}" for n in range(7)]
assert sorted(client.keys("py:list:*")) == [f"py:list:{n}" for n in range(7)]
client.hset("py:hash", mapping={"f": 1, "g": 2})
assert client.hgetall("py:hash") == {"f": "1", "g": "2"}
assert client.zadd("py:z", {"m": 1.5}) == 1 and client.zscore("py:z", "m") == 1.5
assert client.register_script("return {KEYS[1], ARGV[1]}")(keys=["py:s"], args=["v"]) == ["py:s", "v"]
with client.lock("py:lock", timeout=10):
    assert client.exists("py:lock") == 1
assert client.exists("py:lock") == 0
assert client.expire("py:a", 100) and 90 < client.ttl("py:a") <= 100
assert "redis_version" in client.info()
assert client.dbsize() > 0
assert client.client_setname("python") and client.client_getname() == "python"
for refused in (lambda: client.watch("py:a"), lambda: client.blpop("py:none", timeout=1)):
    try:
        refused()
        print("carried out")
    except (redis.ResponseError, AttributeError) as error:
        print("refused:", error)
assert client.get("py:a") == "1"
assert client.flushall() and client.dbsize() == 0
print("redis-py", redis.__version__, "done")
