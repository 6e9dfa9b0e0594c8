"""Serves a directory by Lance's REST namespace protocol, until it is killed:

    lance_server.py ROOT PORT
"""
import sys
import threading

from lance.namespace import RestAdapter

adapter = RestAdapter("dir", {"root": sys.argv[1]}, host="127.0.0.1", port=int(sys.argv[2]))
adapter.start()
threading.Event().wait()
