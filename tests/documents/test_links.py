"""Links of the documents lead somewhere, and the words of the glossary are used."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
GLOSSARY = ROOT / "docs" / "glossary.md"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMES = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]


def links_of(path):
    """List the targets of links outside of code."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return LINK.findall(text)


def anchors_of(path):
    """List the anchors of headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_links_inside_the_repository_lead_to_files_and_headings(path):
    for link in links_of(path):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors_of(target), link


def test_pages_can_be_reached_from_the_readme():
    pages, reached = [ROOT / "README.md"], set()
    while pages:
        page = pages.pop()
        reached.add(page)
        links = {(page.parent / link.partition("#")[0]).resolve() for link in links_of(page) if ":" not in link}
        pages += [path for path in links if path in DOCUMENTS and path not in reached]
    assert [name for name, path in zip(NAMES, DOCUMENTS, strict=True) if path not in reached] == []


def test_words_of_the_glossary_are_explained_once_and_used():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    words = [word for word, _ in rows if word not in ("word", "---")]
    assert len(words) == len(set(words)) > 20
    texts = [path for path in DOCUMENTS if path != GLOSSARY] + sorted(ROOT.glob("lightning_saliency/**/*.py"))
    everything = " ".join(" ".join(path.read_text(encoding="utf-8") for path in texts).lower().split())
    assert [word for word in words if word.lower().split()[0] not in everything] == []


def test_targets_of_make_are_described():
    targets = re.findall(r"^([a-z-]+)[ :].*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`make ([a-z-]+)`", text))
    assert {"test", "integrations", "studies", "docs", "attack"} <= described <= set(targets)


def test_continuous_integration_runs_the_command_of_the_readme_and_all_parts():
    steps = [(ROOT / path).read_text(encoding="utf-8") for path in (".ci/run", ".github/workflows/test.yml")]
    for text in steps:
        commands = [set(line.split()) for line in re.findall(r"^.*\bmake (.*)$", text, re.MULTILINE)]
        assert {"test"} in commands
        assert {"integrations", "studies", "docs", "attack", "QUICK=1"} in commands
