"""The most that is read and shown of what strangers wrote, and sentences on what was left out."""

from collections import Counter
from typing import Final

MOST_RUNS: Final = 200
MOST_TAGS: Final = 5_000
MOST_VALUES: Final = 1_000_000
MOST_PICTURES: Final = 100_000
MOST_ROWS: Final = 2_000_000
MOST_CHARTS: Final = 500
MOST_DECISIONS: Final = 1_000
MOST_CLASSES: Final = 1_000
MOST_SETTINGS: Final = 1_000
LONGEST_TAG: Final = 500
LONGEST_TEXT: Final = 50_000
LONGEST_SETTING: Final = 10_000
LONGEST_ROW: Final = 200_000
# In characters of all texts of a run, in bytes of one record, and of all pictures of a page (or in four pixels).
MOST_TEXT: Final = 2_000_000
LARGEST_RECORD: Final = 2**26
LARGEST_PICTURES: Final = 2**26
MOST_PIXELS: Final = 2**25


class LeftOut:
    """Counts what was left out, by the reason.

    Example:
        >>> left_out = LeftOut()
        >>> left_out.add("pictures that are no PNG")
        >>> left_out.sentences
        ['Left out: 1 pictures that are no PNG.']
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, count: int = 1) -> None:
        """Count one or more."""
        self._counts[kind] += count

    @property
    def sentences(self) -> list[str]:
        """A sentence for each kind."""
        return [f"Left out: {count:,} {kind}." for kind, count in self._counts.items() if count]


def shortened(text: str, most: int) -> str:
    """Cut a text that is too long, and say so at its end.

    Example:
        >>> shortened("abcdef", 4).splitlines()
        ['abcd', '', '(2 more characters were left out.)']
    """
    return text if len(text) <= most else f"{text[:most]}\n\n({len(text) - most:,} more characters were left out.)"
