//! The commands that sequences are made of.
//!
//! A template is words; `$name` is a placeholder ([`fill`]), `$name+` one to four of them, `$a:$b+` one to four pairs;
//! `A|B` is a choice; `?A,B|C` is nothing half of the time, else a choice whose commas separate words.
//! Left out is what no two servers answer alike: times, random picks, ids, memory sizes.

use fastrand::Rng;

/// Every template; frequent ones stand more than once.
pub(super) const TEMPLATES: &[&str] = &[
    // Strings.
    "SET $str $v",
    "SET $str $v",
    "SET $num $i",
    "SET $num $i",
    "SET $str $v ?NX|XX ?GET|KEEPTTL|EX,$t|PX,$ms|EXAT,$at|PXAT,$atms",
    "SET $str $v ?EX,0|EX,-1|PX,x|EX|NX,XX|GET,NX|KEEPTTL,EX,$t",
    "GET $str",
    "GET $str",
    "GET $num",
    "GET $key",
    "GETSET $str $v",
    "GETDEL $str",
    "GETEX $str ?PERSIST|EX,$t|EXAT,$at|PX,x",
    "SETEX $str $t $v",
    "PSETEX $str $ms $v",
    "SETNX $str $v",
    "APPEND $str $v",
    "STRLEN $str",
    "SETRANGE $str $o $v",
    "GETRANGE $str $int $int",
    "SUBSTR $str $int $int",
    "LCS $str $str ?LEN|IDX",
    "INCR $num",
    "DECR $num",
    "INCRBY $num $i",
    "DECRBY $num $i",
    "INCRBYFLOAT $num $x",
    "MGET $key+",
    "MGET $key+",
    "MGET $str+",
    "MSET $str:$v+",
    "MSET $str:$v+",
    "MSETNX $str:$v+",
    // Bitmaps and HyperLogLog.
    "SETBIT $bit $o 0|1|2",
    "GETBIT $bit $o",
    "BITCOUNT $bit",
    "BITCOUNT $bit $int $int ?BYTE|BIT",
    "BITPOS $bit 0|1 ?0|2",
    "BITOP AND|OR|XOR|NOT $bit $bit ?$bit",
    "BITFIELD $bit SET u8 0 $o GET i5 3 INCRBY u4 #1 $o",
    "BITFIELD_RO $bit GET u8 0",
    "PFADD $hll $m+",
    "PFCOUNT $hll+",
    "PFMERGE $hll $hll",
    // Keys.
    "DEL $key",
    "DEL $key+",
    "UNLINK $key+",
    "EXISTS $key+",
    "EXISTS $key+",
    "TOUCH $key+",
    "TYPE $key",
    "RENAME $key $key",
    "RENAMENX $key $key",
    "COPY $key $key ?REPLACE|DB,0|DB,0,REPLACE|DB,1",
    "OBJECT ENCODING $key",
    "OBJECT REFCOUNT $str",
    "OBJECT HELP",
    "EXPIRE $key $t ?NX|XX|GT|LT|NX,XX",
    "PEXPIRE $key $ms",
    "EXPIREAT $key $at",
    "PEXPIREAT $key $atms",
    "EXPIRE $key -1|x|0",
    "EXPIRETIME $key",
    "PEXPIRETIME $key",
    "PERSIST $key",
    "TTL $key",
    "PTTL $key",
    "SORT $list ?ALPHA ?DESC ?LIMIT,0,2",
    "SORT $set ALPHA ?STORE,$list",
    "SORT_RO $zset ALPHA",
    "SORT $list BY w_* GET o_*",
    // Lists.
    "RPUSH $list $v+",
    "LPUSH $list $m+",
    "LPUSHX $list $v",
    "RPUSHX $list $v",
    "LRANGE $list $int $int",
    "LRANGE $list 0 -1",
    "LLEN $list",
    "LINDEX $list $int",
    "LSET $list $int $v",
    "LINSERT $list BEFORE|AFTER $m $v",
    "LREM $list $int $m",
    "LTRIM $list $int $int",
    "LPOP $list ?$n",
    "RPOP $list ?$n",
    "LPOS $list $m ?RANK,$int|COUNT,0",
    "LMOVE $list $list LEFT|RIGHT LEFT|RIGHT",
    "RPOPLPUSH $list $list",
    "LMPOP 2 $list $list LEFT|RIGHT ?COUNT,2",
    "LMPOP $int $list LEFT",
    // Sets.
    "SADD $set $m+",
    "SADD $set $m+",
    "SADD $set $i+",
    "SREM $set $m+",
    "SMEMBERS $set",
    "SISMEMBER $set $m",
    "SMISMEMBER $set $m+",
    "SCARD $set",
    "SPOP $set 1000",
    "SRANDMEMBER $set 1000",
    "SMOVE $set $set $m",
    "SINTER $set+",
    "SUNION $set+",
    "SDIFF $set+",
    "SINTERSTORE $set $set+",
    "SUNIONSTORE $set $set $set",
    "SDIFFSTORE $set $set $set",
    "SINTERCARD 2 $set $set ?LIMIT,1",
    "SINTERCARD $int $set",
    "SSCAN $set 0 COUNT 1000 ?MATCH,$p",
    // Hashes.
    "HSET $hash $f:$v+",
    "HSET $hash $f:$i+",
    "HMSET $hash $f:$v+",
    "HSETNX $hash $f $v",
    "HGET $hash $f",
    "HMGET $hash $f+",
    "HGETALL $hash",
    "HKEYS $hash",
    "HVALS $hash",
    "HLEN $hash",
    "HEXISTS $hash $f",
    "HDEL $hash $f+",
    "HSTRLEN $hash $f",
    "HINCRBY $hash $f $i",
    "HINCRBYFLOAT $hash $f $x",
    "HRANDFIELD $hash 1000 ?WITHVALUES",
    "HSCAN $hash 0 COUNT 1000",
    // Sorted sets and places.
    "ZADD $zset $x:$m+",
    "ZADD $zset $x:$m+",
    "ZADD $zset ?NX|XX|GT|LT|NX,GT ?CH ?INCR $x $m",
    "ZREM $zset $m+",
    "ZSCORE $zset $m",
    "ZMSCORE $zset $m+",
    "ZINCRBY $zset $x $m",
    "ZCARD $zset",
    "ZCOUNT $zset $b $b",
    // Between members of unequal scores a lexical range is undefined: these sets have one score.
    "ZADD $flat 0 $m 0 $m",
    "ZREM $flat $m",
    "ZLEXCOUNT $flat $lex $lex",
    "ZRANGEBYLEX $flat $lex $lex",
    "ZREVRANGEBYLEX $flat $lex $lex ?LIMIT,0,2",
    "ZREMRANGEBYLEX $flat $lex $lex",
    "ZRANGE $flat $lex $lex BYLEX ?REV",
    "ZRANGE $zset $int $int ?REV ?WITHSCORES",
    "ZRANGE $zset $b $b BYSCORE ?LIMIT,0,2",
    "ZREVRANGE $zset 0 -1 WITHSCORES",
    "ZRANGEBYSCORE $zset $b $b ?WITHSCORES",
    "ZREVRANGEBYSCORE $zset $b $b ?LIMIT,0,2",
    "ZRANGESTORE $zset $zset 0 -1",
    "ZRANK $zset $m",
    "ZREVRANK $zset $m",
    "ZPOPMIN $zset ?$n",
    "ZPOPMAX $zset ?$n",
    "ZMPOP 2 $zset $zset MIN|MAX",
    "ZREMRANGEBYRANK $zset $int $int",
    "ZREMRANGEBYSCORE $zset $b $b",
    "ZUNION 2 $zset $zset WITHSCORES ?AGGREGATE,MAX|WEIGHTS,1,2|WEIGHTS,1",
    "ZINTER 2 $zset $zset",
    "ZDIFF 2 $zset $zset WITHSCORES",
    "ZDIFFSTORE $zset 2|1|0 $zset $zset",
    "ZUNIONSTORE $zset 2 $zset $set",
    "ZINTERSTORE $zset 2|1|0 $zset $zset",
    "ZINTERCARD 2 $zset $zset",
    "ZRANDMEMBER $zset 1000",
    "ZSCAN $zset 0 COUNT 1000",
    "GEOADD $geo $lon $lat $m",
    "GEOADD $geo $lon $lat $m",
    "GEOPOS $geo $m+",
    "GEODIST $geo $m $m ?km|ft|x",
    "GEOHASH $geo $m+",
    "GEOSEARCH $geo FROMLONLAT $lon $lat BYRADIUS 20000 km ?ASC|DESC ?COUNT,2",
    "GEOSEARCHSTORE $geo $geo FROMLONLAT $lon $lat BYRADIUS 9000 km",
    "GEORADIUS $geo $lon $lat 9000 km ?STORE,$zset",
    "GEORADIUS_RO $geo $lon $lat 9000 km ASC|STORE",
    "GEORADIUSBYMEMBER $geo $m 9000 km ASC ?STORE,$zset|STOREDIST,$zset",
    "GEORADIUSBYMEMBER_RO $geo $m 9000 km ASC",
    // Streams.
    "XADD $stream $id $f $v",
    "XADD $stream $id $f $v",
    "XADD $stream ?NOMKSTREAM ?MAXLEN,=,3|MAXLEN,~,3 9-* $f $v",
    "XLEN $stream",
    "XRANGE $stream - + ?COUNT,2",
    "XREVRANGE $stream + -",
    "XDEL $stream $id",
    "XTRIM $stream MAXLEN $n",
    "XREAD COUNT 2 STREAMS $stream $id",
    "XREAD STREAMS $stream $stream 0 0",
    "XGROUP CREATE $stream g 0 ?MKSTREAM",
    "XGROUP CREATECONSUMER $stream g c",
    "XGROUP DESTROY $stream g",
    "XREADGROUP GROUP g c COUNT 1 STREAMS $stream >",
    "XACK $stream g $id",
    "XPENDING $stream g",
    "XCLAIM $stream g d 0 $id ?JUSTID|FORCE",
    "XAUTOCLAIM $stream g d 0 0 COUNT 2 ?JUSTID",
    "XINFO STREAM $stream",
    "XINFO GROUPS $stream",
    "XSETID $stream 99-1",
    // Scripts and functions.
    "EVAL $script 1 $key $v",
    "EVAL $script 1 $key $v",
    "EVAL $keyless 0 $v",
    "EVAL $pair 2 $key $key $v",
    "EVAL_RO $reader 1 $key",
    "EVAL $script $int $key",
    "EVALSHA $loadedsha 1 $key $v",
    "EVALSHA $loadedsha 1 $key $v",
    "EVALSHA_RO $loadedsha 1 $key",
    "EVALSHA ffffffffffffffffffffffffffffffffffffffff 1 $key",
    "EVALSHA short 0",
    "SCRIPT LOAD $loaded",
    "SCRIPT LOAD $loaded",
    "SCRIPT EXISTS $loadedsha ffffffffffffffffffffffffffffffffffffffff",
    "SCRIPT FLUSH ?SYNC|ASYNC|x",
    "SCRIPT NOSUCH",
    "FUNCTION LOAD ?REPLACE $library",
    "FUNCTION LOAD REPLACE $library",
    "FUNCTION DELETE lib",
    "FUNCTION LIST ?WITHCODE",
    "FUNCTION FLUSH",
    "FCALL say 1 $key $v",
    "FCALL say 1 $key $v",
    "FCALL_RO say 1 $key",
    "FCALL nosuch 0",
    // The keyspace as a whole.
    "DBSIZE",
    "KEYS $p",
    "KEYS *",
    "FLUSHALL ?SYNC|ASYNC|x",
    "FLUSHDB",
    // The session.
    "PING",
    "PING $v",
    "ECHO $v",
    "SELECT 0",
    "SELECT 1|-1|x",
    "CLIENT GETNAME",
    "CLIENT SETNAME name|two,words",
    "CLIENT NOSUCH",
    "HELLO 2|1|x",
    "HELLO 3",
    "AUTH x",
    "RESET",
    "COMMAND GETKEYS MSET a b c d",
    "COMMAND COUNT x",
    "UNWATCH",
    "WATCH $key",
    "BLPOP $list 0",
    "SUBSCRIBE channel",
    "MOVE $key 1",
    "SWAPDB 0 0",
    // No commands, and wrong numbers of arguments.
    "NOSUCH $v+",
    "GET",
    "GET $str $str",
    "SET $str",
    "MSET $str $v $str",
    "DEL",
    "PING a b",
    "HSET $hash $f",
    "ZADD $zset $x",
    "OBJECT",
    "OBJECT NOSUCH $key",
    "EVAL",
    "EXEC",
    "DISCARD",
    "MULTI x",
];

/// Scripts that are only ever run by EVAL.
const SCRIPTS: &[&str] = &[
    "return redis.call('SET', KEYS[1], ARGV[1])",
    "return redis.call('GET', KEYS[1])",
    "return redis.call('LPUSH', KEYS[1], ARGV[1], 'x')",
    "return {1, 'two', {3, {}}, false, redis.status_reply('FINE')}",
    "return redis.error_reply('MINE went wrong')",
    "return redis.call('NOSUCH', KEYS[1])",
    "return redis.pcall('INCR', KEYS[1])",
    "this is no lua",
    "return nil",
];
const READERS: &[&str] = &["return redis.call('STRLEN', KEYS[1])", "return redis.call('DEL', KEYS[1])"];
const KEYLESS: &[&str] = &["return ARGV[1]", "return #KEYS", "return 3.99", "error('no')"];
const PAIRS: &[&str] =
    &["return {KEYS[1], KEYS[2]}", "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('TYPE', KEYS[2])"];

/// Scripts that are only ever run by EVALSHA after SCRIPT LOAD, with their SHA-1.
///
/// EVAL fills the cache of one shard, SCRIPT LOAD those of all: with EVAL alone one Redis would know the script
/// and some shards would not.
const LOADED: &[(&str, &str)] = &[
    ("return redis.call('TYPE', KEYS[1])", "5afb84be81de8a6b369cec37597ef66bc9f128e1"),
    ("return redis.call('EXISTS', KEYS[1])", "36470718001cbf79c047c6e440069970b40bb3b4"),
];

const LIBRARY: &str = "#!lua name=lib\nredis.register_function{function_name='say', \
    callback=function(keys, args) return {keys[1], args[1]} end, flags={'no-writes'}}";

const VALUES: &[&[u8]] = &[
    b"",
    b"a",
    b"abc",
    b"10",
    b"-1",
    b"3.5",
    b"two words",
    b"\r\n",
    b"\x00\xff\"'",
    b"$3\r\nabc\r\n",
    b"0123456789012345678901234567890123456789012345678901234567890123456789",
];
const INTEGERS: &[&[u8]] = &[
    b"0",
    b"1",
    b"-1",
    b"7",
    b"100",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"1.0",
    b" 1",
    b"x",
    b"",
];

/// A placeholder's value; `None` if there is none of that name, which [`tests`] rules out.
pub(super) fn fill(name: &str, random: &mut Rng) -> Option<Vec<u8>> {
    let mut pick = |choices: &[&[u8]]| choices[random.usize(..choices.len())].to_vec();
    Some(match name {
        "v" => pick(VALUES),
        "m" => pick(&[b"a", b"b", b"c", b"d", b"1", b"two words", b""]),
        "f" => pick(&[b"f", b"g", b"h", b"7", b""]),
        "i" => pick(INTEGERS),
        "int" => pick(&[b"0", b"1", b"2", b"3", b"-1", b"-2", b"-100", b"100", b"0", b"x"]),
        "n" => pick(&[b"0", b"1", b"2", b"5", b"-1", b"x"]),
        "o" => pick(&[b"0", b"1", b"7", b"8", b"40", b"5", b"-1", b"4294967296000"]),
        "x" => pick(&[b"0", b"1", b"2", b"2.5", b"-1e3", b"inf", b"-inf", b"nan", b"3.0e2", b"x"]),
        "b" => pick(&[b"-inf", b"+inf", b"0", b"(1", b"2", b"(2.5", b"x"]),
        "lex" => pick(&[b"-", b"+", b"[a", b"(b", b"[c", b"x"]),
        "id" => pick(&[b"1-1", b"2-0", b"3-3", b"5", b"8-1", b"0", b"x-1"]),
        "p" => pick(&[b"*", b"str*", b"*1", b"{t}*", b"[sl]*", b"nosuch", b"\\*", b""]),
        // No span of seconds equals one of milliseconds: GT and LT would then hang on a millisecond.
        "t" => pick(&[b"1000", b"5000", b"100000"]),
        "ms" => pick(&[b"1500000", b"7000000"]),
        "at" => pick(&[b"4000000000", b"4100000000", b"1"]),
        "atms" => pick(&[b"4000000000000", b"1"]),
        "lon" => pick(&[b"13.36", b"2.35", b"-74", b"181"]),
        "lat" => pick(&[b"38.11", b"48.85", b"40.7", b"x"]),
        "library" => LIBRARY.as_bytes().to_vec(),
        _ => return script(name, random).map(|text| text.as_bytes().to_vec()),
    })
}

fn script(name: &str, random: &mut Rng) -> Option<&'static str> {
    let loaded = random.usize(..LOADED.len());
    let choices = match name {
        "script" => SCRIPTS,
        "reader" => READERS,
        "keyless" => KEYLESS,
        "pair" => PAIRS,
        "loaded" => return Some(LOADED[loaded].0),
        "loadedsha" => return Some(LOADED[loaded].1),
        _ => return None,
    };
    Some(choices[random.usize(..choices.len())])
}

/// The family that no other command touches.
pub(super) const SECLUDED: &str = "flat";

/// Families of keys: names that commands of one type mostly share.
pub(super) const FAMILIES: &[&str] =
    &["str", "num", "bit", "hll", "list", "set", "hash", "zset", "geo", "stream", "flat"];

/// A command that fills a key of each family, in the order of [`FAMILIES`].
pub(super) const FILLERS: &[&str] = &[
    "SET $str $v",
    "SET $num 7",
    "SETBIT $bit $o 1",
    "PFADD $hll a b c",
    "RPUSH $list a b $v $m+",
    "SADD $set a b $m+",
    "HSET $hash f 7 g $v $f $i",
    "ZADD $zset 1 a 2 b 2.5 $m",
    "GEOADD $geo 13.36 38.11 a 2.35 48.85 $m",
    "XADD $stream 4-* $f $v",
    "ZADD $flat 0 a 0 b 0 c 0 $m",
];

/// What half of all sequences start with, each on its own.
pub(super) const PROLOGUE: &[&str] = &["SCRIPT LOAD $loaded", "FUNCTION LOAD REPLACE $library"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_has_values() {
        let mut random = Rng::with_seed(1);
        for template in TEMPLATES {
            let words = template.split([' ', '|', ',', '?', ':', '+']).filter_map(|word| word.strip_prefix('$'));
            for name in words {
                let key = name == "key" || FAMILIES.contains(&name);
                assert!(key || fill(name, &mut random).is_some(), "${name} in {template}");
            }
        }
    }
}
