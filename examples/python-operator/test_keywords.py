import unittest

from freshet.testing import call
from keywords import keywords


class Keywords(unittest.TestCase):
    def test_counts(self):
        found = call(keywords, ["Herons fish. Herons sleep.", "", "\x00"], {"letters": 5, "at_most": 1})
        self.assertEqual(found, [[{"word": "herons", "count": 2}], [], {"kind": "invalid", "message": "it is no text"}])


if __name__ == "__main__":
    unittest.main()
