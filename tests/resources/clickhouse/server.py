"""A ClickHouse server in this process, from libchdb.so: server.py LIBRARY OPTION…

The library carries the whole engine; its `chdb_query_cmdline` is clickhouse-local, which
listens on loopback when it is told to, for as long as its last query sleeps.
"""

import ctypes
import sys

STATEMENTS = """
SYSTEM START LISTEN HTTP;
SYSTEM START LISTEN TCP;
SELECT sleepEachRow(3) FROM numbers(100000)
SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0 FORMAT Null;
"""


def main() -> None:
    library = ctypes.CDLL(sys.argv[1])
    library.chdb_query_cmdline.restype = ctypes.c_void_p
    library.chdb_result_error.restype = ctypes.c_char_p
    library.chdb_result_error.argtypes = [ctypes.c_void_p]
    words = [word.encode() for word in ("clickhouse", *sys.argv[2:], "--query", STATEMENTS)]
    arguments = (ctypes.c_char_p * (len(words) + 1))(*words, None)
    result = library.chdb_query_cmdline(len(words), arguments)
    error = library.chdb_result_error(result)
    sys.exit(error.decode() if error else 0)


if __name__ == "__main__":
    main()
