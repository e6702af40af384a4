"""Texts and names are in plain language.

Read are docstrings, messages (every string of at least three words), names that the code defines, and the documents.
Comments are not read. The rules:

* Some phrases are not used. "behind" is one of them in every sense, because a test cannot tell a place from a time.
* Some words are metaphors. Calls such as `.floor()` are not meant.
* No sentence of a docstring or message, and no description after a colon, begins with "Who", or with "What" unless
  "to" follows ("What to do when ...").
* No name is a bare participle or adjective, with or without underscores around it.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
DOCUMENTS: Final = (
    "*.md",
    "docs/**/*.md",
    "Makefile",
    "pyproject.toml",
    "mkdocs.yml",
    "website/*.toml",
    "lightning_saliency/report/templates/*.html",
)
SOURCES: Final = ("lightning_saliency/**/*.py", "tests/**/*.py", "examples/**/*.py", "website/**/*.py")
# Paths, or beginnings of paths, of files that have not been brought to these rules.
NOT_READ_YET: Final = ("tests/cifar10.py",)
ALWAYS_READ: Final = ("lightning_saliency/__init__.py", "lightning_saliency/__main__.py")
PHRASES: Final = re.compile(
    r"\b(but\s+for|as\s+far\s+as|at\s+hand|behind|lest|of\s+one's\s+own|wants?|wanted)\b", re.IGNORECASE
)
METAPHORS: Final = frozenset(
    ("floor", "floors", "house", "houses", "lend", "lends", "lending", "lent", "portrait", "portraits", "justice")
)
WORDS: Final = re.compile(rf"(?<![.\w])({'|'.join(METAPHORS)})\b(?!\()", re.IGNORECASE)
BEGINNINGS: Final = re.compile(r"(?:\A|[.!?:]\s+|\n\s*\n\s*)(Who|What)\b(?!\s+to\b)")
PARTICIPLES: Final = re.compile("_*(found|known|own|seen|wanted|whole)_*")


@dataclass(frozen=True)
class Text:
    """A text or a name, and where it begins."""

    path: str
    line: int
    content: str


def is_read(path: str) -> bool:
    return path in ALWAYS_READ or not (path.startswith(NOT_READ_YET) or path == "tests/test_language.py")


def files(patterns: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """List paths and contents of the files that are read."""
    for pattern in patterns:
        for file in sorted(ROOT.glob(pattern)):
            path = file.relative_to(ROOT).as_posix()
            if is_read(path):
                yield path, file.read_text(encoding="utf-8")


def documents() -> list[Text]:
    return [Text(path, 1, content) for path, content in files(DOCUMENTS)]


def strings_of(path: str, source: str) -> Iterator[Text]:
    """List docstrings and messages; values inside an f-string are left out."""
    inside = set()
    # From outside to inside, so that an f-string comes before its parts.
    for node in ast.walk(ast.parse(source)):
        content = ""
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            content = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            content = node.value
        if len(content.split()) >= 3:
            yield Text(path, node.lineno, content)


def names_of(path: str, source: str) -> Iterator[Text]:
    """List the names that a module defines, its own among them."""
    yield Text(path, 1, Path(path).stem)
    for node in ast.walk(ast.parse(source)):
        name = None
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                pass
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.ExceptHandler(name=name):
                pass
            case ast.arg(arg=name) | ast.alias(asname=name) | ast.MatchAs(name=name):
                pass
        if name:
            yield Text(path, getattr(node, "lineno", 1), name)


def strings() -> list[Text]:
    return [text for path, source in files(SOURCES) for text in strings_of(path, source)]


def names() -> list[Text]:
    return [text for path, source in files(SOURCES) for text in names_of(path, source)]


def matches(pattern: re.Pattern[str], texts: list[Text]) -> list[str]:
    """List where a pattern stands, with its surroundings."""
    return [
        f"{text.path}:{text.line + text.content[: match.start(1)].count(chr(10))}: '{match[1]}' in "
        f"'{' '.join(text.content[max(0, match.start(1) - 40) : match.end(1) + 40].split())}'"
        for text in texts
        for match in pattern.finditer(text.content)
    ]


def offending(texts: list[Text]) -> list[str]:
    """List names that are a participle or have a metaphor in them."""
    return [
        f"{text.path}:{text.line}: {text.content}"
        for text in texts
        if PARTICIPLES.fullmatch(text.content) or METAPHORS & set(words_in(text.content))
    ]


def words_in(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]


def message_of(offenders: list[str]) -> str:
    return "\n".join(["Not plain language:", *offenders])


def test_files_are_read() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/glossary.md"} <= {text.path for text in documents()}
    assert {"lightning_saliency/__main__.py", "tests/conftest.py"} <= {text.path for text in strings()}
    assert all((ROOT / path).exists() or list(ROOT.glob(f"{path}*")) for path in NOT_READ_YET), "a path that is gone"


@pytest.mark.parametrize("texts", [documents, strings])
def test_texts_have_none_of_the_phrases(texts) -> None:
    offenders = matches(PHRASES, texts())
    assert not offenders, message_of(offenders)


@pytest.mark.parametrize("texts", [documents, strings])
def test_texts_have_none_of_the_metaphors(texts) -> None:
    offenders = matches(WORDS, texts())
    assert not offenders, message_of(offenders)


def test_no_sentence_of_a_docstring_or_message_begins_with_who_or_what() -> None:
    offenders = matches(BEGINNINGS, strings())
    assert not offenders, message_of(offenders)


def test_names_are_nouns_and_verbs() -> None:
    offenders = offending(names())
    assert not offenders, message_of(offenders)


SAMPLE = '''"""Whole maps.

Args:
    image: What lies at
        hand.
    steps: What to do.
"""
def lend_house(own, _seen_): self.whole = values.floor()
for found in ownership: raise ValueError(f"`x` is {1}, wanted {2} or as far as known")
def shown_values(): "No floor, house( or values.floor() here."
'''


def test_offences_are_noticed() -> None:
    texts = list(strings_of("sample.py", SAMPLE))
    assert [offence.split(" in ")[0] for offence in matches(PHRASES, texts)] == [
        "sample.py:4: 'at\n        hand'",
        "sample.py:9: 'wanted'",
        "sample.py:9: 'as far as'",
    ]
    assert [offence.split(" in ")[0] for offence in matches(WORDS, texts)] == ["sample.py:10: 'floor'"]
    assert [offence.split(" in ")[0] for offence in matches(BEGINNINGS, texts)] == ["sample.py:4: 'What'"]
    offenders = offending(list(names_of("sample.py", SAMPLE)))
    assert [offence.split()[-1] for offence in offenders] == ["lend_house", "found", "own", "_seen_", "whole"]
