"""Operators of Freshet flows in Python.

An operator is a function of one input, or of a list of inputs, whose results
depend on nothing else: no clock, no chance, no earlier calls. Freshet keeps
the results and calls it again only for new inputs, or for a new version.
"""

from ._errors import Failure, Invalid, Throttled, Transient
from ._operator import Operator, Returns, operator
from ._serve import serve

__all__ = ["Failure", "Invalid", "Operator", "Returns", "Throttled", "Transient", "operator", "serve"]
