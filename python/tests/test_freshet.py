import datetime
import decimal
import io
import json
import os
import subprocess
import sys
import unittest
from contextlib import redirect_stderr

import freshet
from freshet import testing
from freshet._operator import canonical


@freshet.operator(version="1", returns={"words": "int", "text": "string"})
def count(text):
    """Counts words."""
    if not text:
        raise freshet.Invalid("it is empty")
    return {"words": len(text.split()), "text": text}


@freshet.operator(version="2", returns="list(double)", batch=True)
def scale(items, settings):
    if "poison" in items:
        raise KeyError("poison")
    return [freshet.Throttled("slowly", 3) if x == "wait" else [x * settings["by"]] for x in items]


class Operators(unittest.TestCase):
    def test_one_at_a_time(self):
        self.assertEqual(testing.call(count, ["a b", "", "é"]), [
            {"words": 2, "text": "a b"}, {"kind": "invalid", "message": "it is empty"}, {"words": 1, "text": "é"}])
        self.assertEqual(count("a b")["words"], 2)
        self.assertEqual(count.__doc__, "Counts words.")

    def test_batches(self):
        self.assertEqual(testing.call(scale, [1, "wait", 3], {"by": 2}),
                         [[2], {"kind": "throttled", "message": "slowly", "retry_after": 3}, [6]])

    def test_batch_that_fails_is_halved(self):
        with redirect_stderr(io.StringIO()) as log:
            self.assertEqual(testing.call(scale, [1, 2, "poison", 3, 4], {"by": 1}),
                             [[1], [2], {"kind": "transient", "message": "KeyError: 'poison'"}, [3], [4]])
        self.assertIn("Traceback", log.getvalue())

    def test_service_that_is_away_is_asked_once(self):
        calls = []

        @freshet.operator(version="1", returns="int", batch=True)
        def away(items):
            calls.append(len(items))
            raise freshet.Transient("nobody there")

        self.assertEqual([r["kind"] for r in testing.call(away, [1, 2, 3])], ["transient"] * 3)
        self.assertEqual(calls, [3])

    def test_wrong_count(self):
        @freshet.operator(version="1", returns="int", batch=True)
        def fewer(items):
            return []

        with redirect_stderr(io.StringIO()):
            self.assertIn("0 results for 1 items", testing.call(fewer, [1])[0]["message"])

    def test_declarations(self):
        for version, returns in (("", "int"), (1, "int"), ("1", []), ("1", ["int", "int"]), ("1", 5)):
            with self.assertRaises(TypeError):
                freshet.operator(version=version, returns=returns)(lambda x: x)
        self.assertEqual(canonical({"a": "list(list(int))", "b": " int? ", "c": ["list(int)?"]}), {"a": [["int"]], "b": "int?", "c": ["list(int)?"]})


class Values(unittest.TestCase):
    def gives(self, returns, value):
        return testing.call(freshet.operator(version="1", returns=returns)(lambda _: value), [0])[0]

    def test_kinds(self):
        class Array:
            def tolist(self):
                return [1.5, 2.5]

        at = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
        for returns, value, want in (
            ("bytes", b"\x01\x02", "AQI="), ("decimal(2)", decimal.Decimal("1E+1"), "10"), ("timestamp", at, "2026-01-02T03:04:05+00:00"),
            ("vector(2)", Array(), [1.5, 2.5]), ("double", float("nan"), "NaN"), ("double", float("-inf"), "-Infinity"), ("double", 2, 2),
            ("string?", None, None), (["int"], (1, 2), [1, 2]), ("dyn", {"a": [None]}, {"a": [None]}), ("map", {1: 2}, {"1": 2}), ("bool", True, True),
            ("list(int)?", None, None), ("list(int)?", [1], [1]),
        ):
            self.assertEqual(self.gives(returns, value), want, returns)

    def test_what_has_no_form(self):
        for value in (object(), datetime.datetime(2026, 1, 1), {"a": {1, 2}}):
            self.assertEqual(self.gives("dyn", value)["kind"], "invalid")

    def test_helper_finds_wrong_types(self):
        for returns, value in (("int", "1"), ("int", True), ("int", 1.5), ("string", None), ("decimal(1)", "1.25"), ("vector(3)", [1, 2]),
                               ({"a": "int"}, {"a": 1, "b": 2}), ({"a": "int"}, {}), (["string"], ["a", 1]), ("strin", "a")):
            with self.assertRaises(AssertionError, msg=returns):
                self.gives(returns, value)


WORKER = """
import os, sys, freshet
@freshet.operator(version="1", returns="string")
def shout(text):
    print("printed", text)
    os.write(1, b"written by a library\\n")
    if text == "leak":
        raise MemoryError
    return text.upper()
freshet.serve(shout)
"""


class Workers(unittest.TestCase):
    def work(self, *lines):
        env = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(os.path.abspath(freshet.__file__))), "LC_ALL": "C"}
        return subprocess.run([sys.executable, "-c", WORKER], input="".join(json.dumps(x) + "\n" for x in lines).encode(), env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

    def test_print_is_no_answer(self):
        done = self.work({"freshet": 1, "version": "1"}, {"id": 7, "items": ["ä", "b"]})
        self.assertEqual(done.returncode, 0)
        self.assertEqual([json.loads(x) for x in done.stdout.splitlines()], [
            {"freshet": 1, "version": "1", "returns": "string"}, {"id": 7, "results": [{"value": "Ä"}, {"value": "B"}]}])
        self.assertIn(b"printed", done.stderr)
        self.assertIn(b"written by a library", done.stderr)

    def test_out_of_memory_ends_the_worker(self):
        done = self.work({"freshet": 1, "version": "1"}, {"id": 1, "items": ["a", "leak"]})
        self.assertEqual(done.returncode, 70)
        self.assertEqual(len(done.stdout.splitlines()), 1)
        self.assertIn(b"MemoryError", done.stderr)


if __name__ == "__main__":
    unittest.main()
