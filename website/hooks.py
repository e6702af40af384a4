"""Hooks of MkDocs: pages that are not written by hand, and links from pages to files of the repository."""

import json
import os
import posixpath
import re
import sys
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from website.members import members, page_of, public_modules, reference_of  # noqa: E402
from website.pictures import picture_of  # noqa: E402

LINK: Final = re.compile(r"(\]\()([^)\s:#]+)((?:#[\w-]*)?\))")
PROJECT_PAGES: Final = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
LANGUAGES: Final = {".py": "python", ".yaml": "yaml", ".ipynb": "python"}
GENERATED: Final = {"Methods": "methods", "Metrics": "metrics"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages of methods, metrics and modules to the navigation, and a menu of versions where there are some."""
    if "MIKE_DOCS_VERSION" in os.environ:
        config.extra["version"] = {"provider": "mike"}
    for section in config.nav or []:
        for title, entries in section.items():
            if title in GENERATED:
                entries += [{member.title: member.path} for member in members(GENERATED[title])]
            if title == "Reference":
                entries += [{f"lightning_saliency.{name}": f"reference/{name}.md"} for name in public_modules()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made: pages of members and modules, their pictures, and files of the repository."""
    for kind in GENERATED.values():
        for member in members(kind):
            files.append(File.generated(config, member.path, content=page_of(member)))
            files.append(File.generated(config, member.picture, content=picture_of(member)))
    files.append(File.generated(config, "reference/index.md", content=reference_of("")))
    for name in public_modules():
        files.append(File.generated(config, f"reference/{name}.md", content=reference_of(name)))
    for name, path in PROJECT_PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, path, content=_relinked(text, name, path)))
    for example in sorted((ROOT / "examples").rglob("*")):
        path = example.relative_to(ROOT).as_posix()
        if example.suffix in LANGUAGES:
            files.append(File.generated(config, _place(path), content=_listing(example, path)))
        elif example.suffix == ".png":
            files.append(File.generated(config, path, abs_src_path=str(example)))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Let links to files of the repository lead to their pages."""
    if page.file.generated_by is not None:
        return markdown
    return _relinked(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)


def _listing(example: Path, path: str) -> str:
    text = example.read_text(encoding="utf-8")
    if example.suffix == ".ipynb":
        return _notebook(text, path)
    return f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n{_block(text.rstrip(), LANGUAGES[example.suffix])}\n"


def _notebook(text: str, path: str) -> str:
    """Show the cells of a notebook; its file can be opened in Jupyter."""
    cells = [("".join(cell["source"]), cell["cell_type"]) for cell in json.loads(text)["cells"]]
    shown = [source if kind == "markdown" else _block(source, "python") for source, kind in cells]
    return "\n\n".join([*shown, f"*This is `{path}` of the repository, without its results.*\n"])


def _block(code: str, language: str) -> str:
    return f"```` {language}\n{code}\n````"


def _relinked(markdown: str, origin: str, page: str) -> str:
    """Change links of a file of the repository to links between pages."""

    def relink(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), match[2]))
        if not (ROOT / target).is_file():
            return match[0]
        link = posixpath.relpath(_place(target), posixpath.dirname(page) or ".")
        return f"{match[1]}{link}{match[3]}"

    return LINK.sub(relink, markdown)


def _place(path: str) -> str:
    """Return the place of a file of the repository below the folder of all pages."""
    if Path(path).suffix in LANGUAGES:
        return f"{path}.md"
    return PROJECT_PAGES.get(path, path.removeprefix("docs/"))
