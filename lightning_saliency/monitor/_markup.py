"""Text that Markdown and HTML show as it is."""

import re
from typing import Final

# Markdown and HTML would take these for marks of their own.
ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
MARKS: Final = re.compile(r"[\\`*\[\]#]|(?<![^\W_])_|_(?![^\W_])")


def escaped(text: object) -> str:
    """Take from a text what Markdown or HTML would read as marks."""
    valid = str(text).encode("utf-8", "backslashreplace").decode("utf-8")
    plain = "".join(ENTITIES.get(letter, letter) for letter in " ".join(valid.split()))
    # Entities are made of marks, too.
    return re.sub(r"(&#?\w+;)|(" + MARKS.pattern + ")", lambda match: match[1] or f"\\{match[2]}", plain)
