"""Compacts every table of a directory that lance_server.py serves, and removes what is left of earlier versions:

    lance_compact.py ROOT

A compaction that meets a write of the same rows is refused, and begun again.
"""
import datetime
import pathlib
import sys

import lance


def compact(path):
    while True:
        table = lance.dataset(path)
        try:
            table.optimize.compact_files()
            return table
        except Exception as refused:
            if "Please retry" not in str(refused):
                raise


for versions in pathlib.Path(sys.argv[1]).glob("*/_versions"):
    if versions.parent.name != "__manifest":
        compact(str(versions.parent)).cleanup_old_versions(older_than=datetime.timedelta(0))
