"""The protocol of workers: one JSON object a line."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
import os
import sys
from typing import Any, BinaryIO

from ._errors import Failure, Invalid
from ._operator import Operator

PROTOCOL = 1


def serve(op: Operator) -> None:
    """Answers requests on standard input until it ends. What the code prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # also for what libraries written in C print
    sys.stdout = sys.stderr
    try:
        loop(op, sys.stdin.buffer, answers)
    except MemoryError:
        os.write(2, b"MemoryError: the worker ends\n")
        os._exit(70)  # nothing else can be relied on


def loop(op: Operator, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers the requests of one stream on another."""
    settings: dict[str, Any] = {}
    for line in requests:
        request = json.loads(line)
        if "freshet" in request:
            settings = request.get("settings") or {}
            answer = {"freshet": PROTOCOL, "version": op.version, "returns": op.returns}
        else:
            results = op.compute(request["items"], settings)
            answer = {"id": request["id"], "results": [as_json(r) for r in results]}
        answers.write(json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n")
        answers.flush()


def as_json(result: Any) -> dict[str, Any]:
    """Is a result as the protocol has it."""
    if not isinstance(result, Failure):
        try:
            return {"value": plain(result)}
        except (TypeError, ValueError) as e:
            result = Invalid(f"its result can't be written: {e}")
    return {"error": result.as_json()}


def plain(x: Any) -> Any:
    """Writes what JSON lacks as strings, and arrays of numpy and the like as lists."""
    if x is None or isinstance(x, (bool, int, str)):
        return x
    if isinstance(x, float):
        if math.isfinite(x):
            return x
        return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"
    if isinstance(x, decimal.Decimal):
        return format(x, "f")
    if isinstance(x, (bytes, bytearray, memoryview)):
        return base64.b64encode(x).decode()
    if isinstance(x, datetime.datetime):
        if x.tzinfo is None:
            raise ValueError("a time without a zone; use datetime.timezone.utc")
        return x.isoformat()
    if isinstance(x, dict):
        return {str(key): plain(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(value) for value in x]
    if hasattr(x, "tolist"):
        return plain(x.tolist())
    raise TypeError(f"a {type(x).__name__} has no form in JSON")
