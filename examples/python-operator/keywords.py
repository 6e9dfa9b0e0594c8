"""The words that a page uses most."""

import re
from collections import Counter

import freshet


@freshet.operator(version="1", returns=[{"word": "string", "count": "int"}])
def keywords(text, settings):
    if "\x00" in text:
        raise freshet.Invalid("it is no text")
    words = re.findall(r"[a-z]{%d,}" % settings["letters"], text.lower())
    most = sorted(Counter(words).items(), key=lambda entry: (-entry[1], entry[0]))
    return [{"word": word, "count": count} for word, count in most[: settings["at_most"]]]


if __name__ == "__main__":
    freshet.serve(keywords)
