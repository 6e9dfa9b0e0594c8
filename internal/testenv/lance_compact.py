"""Compacts every table of a directory that lance_server.py serves, and removes what is left of earlier versions:

    lance_compact.py ROOT [SECONDS]

A compaction that meets a write of the same rows is refused, and begun again. With SECONDS it goes on until it is killed, with so long a
pause; what is refused waits for the next round, and versions of the last half minute stay, for readers.
"""
import datetime
import pathlib
import sys
import time

import lance


def compact(path):
    table = lance.dataset(str(path))
    table.optimize.compact_files()
    return table


def compact_at_last(path):
    while True:
        try:
            return compact(path)
        except Exception as refused:
            if "Please retry" not in str(refused):
                raise


def tables():
    for versions in pathlib.Path(sys.argv[1]).glob("*/_versions"):
        if versions.parent.name != "__manifest":
            yield versions.parent


if len(sys.argv) == 2:
    for path in tables():
        compact_at_last(path).cleanup_old_versions(older_than=datetime.timedelta(0))
while len(sys.argv) > 2:
    time.sleep(float(sys.argv[2]))
    for path in tables():
        try:
            compact(path).cleanup_old_versions(older_than=datetime.timedelta(seconds=30))
        except Exception as refused:
            print(path.name, refused, flush=True)
