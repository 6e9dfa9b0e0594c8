"""What an operator is, and how it computes a batch."""

from __future__ import annotations

import inspect
import sys
import traceback
from typing import Any, Callable, Dict, List, Sequence, Union

from ._errors import Failure, Invalid

# A type as flow files have it: "string", "int?", {"text": "string"}, [{"name": "string"}].
Returns = Union[str, Dict[str, Any], List[Any]]


class Operator:
    """A function with its version and the type of its results. Calling it calls the function."""

    def __init__(self, function: Callable[..., Any], version: str, returns: Returns, batch: bool) -> None:
        if not isinstance(version, str) or not version:
            raise TypeError("version must be a text that changes whenever a result does, such as '1'")
        self.function = function
        self.version = version
        self.returns = canonical(returns)
        self.batch = batch
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", "operator")
        self._takes_settings = "settings" in inspect.signature(function).parameters

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def compute(self, items: Sequence[Any], settings: dict[str, Any]) -> list[Any]:
        """Returns for each item its result, or a Failure."""
        if self.batch:
            return self._batch(list(items), settings)
        return [self._batch([item], settings)[0] for item in items]

    def _batch(self, items: list[Any], settings: dict[str, Any]) -> list[Any]:
        """A batch that fails as a whole is halved until the items that are to blame stand alone."""
        try:
            return self._call(items, settings)
        except MemoryError:
            raise  # the process ends, and Freshet tries the items apart
        except Exception as failure:  # noqa: BLE001 - what it is decides the class
            if len(items) > 1 and (isinstance(failure, Invalid) or not isinstance(failure, Failure)):
                middle = len(items) // 2
                return self._batch(items[:middle], settings) + self._batch(items[middle:], settings)
            return [_failure(failure)] * len(items)

    def _call(self, items: list[Any], settings: dict[str, Any]) -> list[Any]:
        more = {"settings": settings} if self._takes_settings else {}
        if not self.batch:
            return [self.function(item, **more) for item in items]
        results = list(self.function(items, **more))
        if len(results) != len(items):
            raise RuntimeError(f"{self.__name__} returned {len(results)} results for {len(items)} items")
        return results


def _failure(e: Exception) -> Failure:
    """An exception of the code says nothing of the input: it may be a service that is away, or a fault to be mended."""
    if isinstance(e, Failure):
        return e
    traceback.print_exception(type(e), e, e.__traceback__, file=sys.stderr)
    return Failure(f"{type(e).__name__}: {e}")


def operator(*, version: str, returns: Returns, batch: bool = False) -> Callable[[Callable[..., Any]], Operator]:
    """Makes an operator of a function.

    version: raise it whenever a result changes for any input; the flow file has the same.
    returns: the type of a result, as in the flow file.
    batch: the function takes a list of inputs and returns as many results; a Failure among them is that item's.

    A function with a parameter `settings` is given those of the flow file by that name.
    """
    return lambda function: Operator(function, version, returns, batch)


def canonical(t: Returns) -> Returns:
    """Writes a type as the protocol does: list(T) as [T]."""
    if isinstance(t, dict):
        return {name: canonical(of) for name, of in t.items()}
    if isinstance(t, list):
        if len(t) != 1:
            raise TypeError("a list has one type of elements: ['string']")
        return [canonical(t[0])]
    if not isinstance(t, str):
        raise TypeError(f"{t!r} is no type; write 'string', {{'text': 'string'}} or ['string']")
    text = t.strip()
    if text.startswith("list(") and text.endswith(")"):
        return [canonical(text[5:-1])]
    return text
