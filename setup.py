"""The part of a build that depends on where the repository is: absolute links of the README, and the project's URLs.

The release workflow sets `PROJECT_REPOSITORY`, the address of its repository, and `PROJECT_REF`, its tag. Without them
links stay relative and there are no URLs.
"""

import os
import re
from pathlib import Path

from setuptools import setup

REPOSITORY = os.environ.get("PROJECT_REPOSITORY", "").rstrip("/")
REF = os.environ.get("PROJECT_REF", "HEAD")
FOLDERS = {
    "Documentation": "tree/{ref}/docs",
    "Source": "tree/{ref}",
    "Changelog": "blob/{ref}/CHANGELOG.md",
    "Issues": "issues",
}


def absolute(text: str) -> str:
    """Let links and pictures lead to the repository; addresses and anchors stay as they are."""

    def link(match: re.Match[str]) -> str:
        kind = "raw" if match[1] == "!" else "blob"
        return f"{match[1]}[{match[2]}]({REPOSITORY}/{kind}/{REF}/{match[3]})"

    return re.sub(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)", link, text)


readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
setup(
    long_description=absolute(readme) if REPOSITORY else readme,
    long_description_content_type="text/markdown",
    project_urls={name: f"{REPOSITORY}/{path.format(ref=REF)}" for name, path in FOLDERS.items()} if REPOSITORY else {},
)
