"""For tests of operators: calls them as Freshet does."""

from __future__ import annotations

import io
import json
import re
from typing import Any, Iterable, Optional

from ._operator import Operator
from ._serve import loop


def call(op: Operator, items: Iterable[Any], settings: Optional[dict[str, Any]] = None) -> list[Any]:
    """Sends items through the protocol, and returns their results as Freshet reads them: JSON values.

    An item that fails has a dict of `kind` and `message` in a Failed. A result of another type than
    the operator declares is an AssertionError, since it would quarantine its document.
    """
    requests = [{"freshet": 1, "version": op.version, "returns": op.returns, "settings": settings or {}}, {"id": 1, "items": list(items)}]
    answers = io.BytesIO()
    loop(op, io.BytesIO("".join(json.dumps(r) + "\n" for r in requests).encode()), answers)
    answer = json.loads(answers.getvalue().splitlines()[1])
    results = []
    for i, result in enumerate(answer["results"]):
        if "error" in result:
            results.append(Failed(result["error"]))
            continue
        check(result["value"], op.returns, f"result {i}")
        results.append(result["value"])
    return results


class Failed(dict):
    """An item's failure: `kind` and `message`, of a throttled one `retry_after` too."""


_KINDS = {"bool": (bool,), "int": (int,), "double": (int, float), "string": (str,), "bytes": (str,), "timestamp": (str,), "map": (dict,)}


def check(value: Any, of: Any, what: str) -> None:
    """Demands that a JSON value is of a type."""
    if isinstance(of, str):
        _check_named(value, of, what)
    elif isinstance(of, list):
        assert isinstance(value, list), f"{what} is {value!r}, and declared a list"
        for i, x in enumerate(value):
            check(x, of[0], f"{what}[{i}]")
    else:
        assert isinstance(value, dict), f"{what} is {value!r}, and declared a map"
        assert set(value) <= set(of), f"{what} has fields that aren't declared: {sorted(set(value) - set(of))}"
        for name, t in of.items():
            check(value.get(name), t, f"{what}.{name}")


def _check_named(value: Any, of: str, what: str) -> None:
    if of.endswith("?"):
        if value is None:
            return
        of = of[:-1]
    argument = re.fullmatch(r"(list|vector|decimal)\((.*)\)", of)
    if of == "dyn":
        return
    if argument is None:
        kinds = _KINDS.get(of)
        assert kinds is not None, f"{of!r} is no type"
        fits = isinstance(value, kinds) and (of == "bool" or not isinstance(value, bool))
        assert fits or of == "double" and value in ("NaN", "Infinity", "-Infinity"), f"{what} is {value!r}, and declared {of}"
        return
    name, rest = argument.groups()
    if name == "decimal":
        digits = re.fullmatch(r"-?\d+(?:\.(\d+))?", str(value))
        assert digits and len(digits.group(1) or "") <= int(rest), f"{what} is {value!r}, and declared {of}"
        return
    check(value, ["double" if name == "vector" else rest], what)
    assert name == "list" or len(value) == int(rest), f"{what} has {len(value)} dimensions, and is declared {of}"
