"""One page for each method and metric, made of its docstring, its formula, its rows of the tables, and a picture."""

import inspect
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from latex2mathml.converter import convert

import lightning_saliency
from lightning_saliency import methods, metrics
from lightning_saliency.extend import ExplanationMetric, SaliencyMethod

ROOT: Final = Path(__file__).parents[1]
TEXTS: Final[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "members.toml").read_text(encoding="utf-8"))
KINDS: Final = {"methods": (methods, SaliencyMethod), "metrics": (metrics, ExplanationMetric)}
TABLES: Final = ("methods.md", "metrics.md", "costs.md", "studies.md")


@dataclass(frozen=True)
class Member:
    """A method or metric that has a page.

    Attributes:
        kind: `"methods"` or `"metrics"`.
        title: Name of the class.
        key: Name in results and logs.
    """

    kind: str
    title: str
    key: str

    @property
    def path(self) -> str:
        """Path of the page below the folder of all pages."""
        return f"{self.kind}/{self.key}.md"

    @property
    def picture(self) -> str:
        """Path of the picture below the folder of all pages."""
        return f"pictures/{self.kind}/{self.key}.png"


def members(kind: str) -> list[Member]:
    """List the methods or metrics that users can make, in alphabetic order."""
    module, base = KINDS[kind]
    classes = [(name, getattr(module, name)) for name in module.__all__]
    made = [(name, cls) for name, cls in classes if inspect.isclass(cls) and issubclass(cls, base)]
    return [Member(kind, name, cls.name) for name, cls in sorted(made) if isinstance(getattr(cls, "name", None), str)]


def page_of(member: Member) -> str:
    """Write the page of a member."""
    texts = TEXTS[member.kind][member.title]
    return "\n\n".join(
        [
            f"# {member.title}",
            f'<div class="formula">{_mathml(texts["formula"], "block")}</div>',
            f"*{formulas_shown(TEXTS[member.kind]['notation'])}*",
            f"**It says.** {texts['says']}",
            f"**It does not say.** {texts['not']}",
            f"![{member.title} on handwritten digits](../{member.picture})",
            _caption(member),
            "## Use",
            _use(member),
            f"::: lightning_saliency.{member.kind}.{member.title}",
            *_rows(member),
            "",
        ]
    )


def formulas_shown(text: str) -> str:
    """Return a text with MathML in place of what stands between dollar signs."""
    return re.sub(r"\$([^$]+)\$", lambda match: _mathml(match[1], "inline"), text)


def _mathml(formula: str, display: str) -> str:
    markup: str = convert(formula.replace(r"\lVert", r"\|").replace(r"\rVert", r"\|"), display=display)
    return markup


def _caption(member: Member) -> str:
    if member.kind == "methods":
        return "*Four handwritten digits and their maps, drawn when this page was built, with a small network.*"
    return "*Mean score of five methods on handwritten digits with one standard error, drawn when this page was built.*"


def _use(member: Member) -> str:
    argument = "" if member.kind == "methods" else "metrics="
    return (
        f'Named `{member.key}` in logs: `SaliencyMonitor({argument}["{member.key}"])`, or an instance with arguments.'
    )


def _rows(member: Member) -> Iterator[str]:
    """Yield the tables' rows about a member, with their headers, under the heading of each table."""
    for name in TABLES:
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        heading = text.splitlines()[0].lstrip("# ")
        tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
        parts = [part for part in (_rows_of_table(table, member) for table in tables) if part]
        if parts:
            yield f"## In [{heading.lower()}](../{name})"
            yield from parts


def _rows_of_table(table: str, member: Member) -> str:
    header, line, *rows = table.splitlines()
    starts = (f"`{member.title}`", f"`{member.title}(", f"| `{member.key}` |")
    about = [row for row in rows if any(start in row for start in starts)]
    return "\n".join([header, line, *about]) if about else ""


def public_modules() -> list[str]:
    """List the public modules that have names."""
    folder = Path(lightning_saliency.__file__).parent
    paths = [path for path in folder.iterdir() if not path.name.startswith("_")]
    names = sorted({path.stem for path in paths if path.suffix == ".py" or (path / "__init__.py").is_file()})
    return [name for name in names if _names_of(name)]


def reference_of(module: str) -> str:
    """Write the page of a module: everything that users can import from it and that has no page of its own."""
    path = f"lightning_saliency.{module}" if module else "lightning_saliency"
    parts = [f"::: {path}.{name}\n    options: {{members: null}}" for name in _names_of(module)]
    return "\n\n".join([f"# {path}", inspect.getdoc(_module(module)) or "", *parts, ""])


def _module(name: str) -> Any:
    path = f"lightning_saliency.{name}" if name else "lightning_saliency"
    return __import__(path, fromlist=["__all__"])


def _names_of(name: str) -> list[str]:
    module = _module(name)
    on_pages = {member.title for member in members(name)} if name in KINDS else set()
    names = getattr(module, "__all__", [])
    return [each for each in names if each not in on_pages and not inspect.ismodule(getattr(module, each))]
