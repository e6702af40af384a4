"""Source archive and wheel, built as the release workflow builds them."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
import yaml

import lightning_saliency

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://example.org/team/project"
# The dependencies of the design. fsspec is imported for remote folders, and torch and Lightning bring it anyway.
CORE = {
    "torch lightning torchmetrics tensorboard matplotlib pillow numpy jaxtyping",
    "jinja2 markupsafe markdown-it-py",
    "fsspec",
}


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Build a copy of the sources with a tag and a repository, and return the folder of the two files."""
    pytest.importorskip("build")
    pytest.importorskip("setuptools_scm")
    folder = tmp_path_factory.mktemp("release")
    sources = folder / "sources"
    shutil.copytree(ROOT / "lightning_saliency", sources / "lightning_saliency")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    git = ["git", "-c", "user.name=name", "-c", "user.email=name@example.org"]
    for command in (["init"], ["add", "."], ["commit", "-m", "subject"], ["tag", "v0.1.0"]):
        run([*git, *command], sources)
    run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist"],
        sources,
        PROJECT_REPOSITORY=REPOSITORY,
        PROJECT_REF="v0.1.0",
    )
    return folder / "dist"


def run(command, folder, **variables):
    """Run a command in a folder, and return what it prints."""
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(folder), **variables}
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def workflow(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def metadata(dist):
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


def test_the_version_is_that_of_the_tag(dist):
    assert {path.name for path in dist.iterdir()} == {
        "lightning_saliency-0.1.0.tar.gz",
        "lightning_saliency-0.1.0-py3-none-any.whl",
    }


def test_the_registry_would_show_it(dist):
    pytest.importorskip("twine")
    printed = run([sys.executable, "-m", "twine", "check", "--strict", *dist.iterdir()], dist)
    assert printed.count("PASSED") == 2


def test_links_and_pictures_lead_to_the_repository(metadata):
    text = metadata.get_payload(decode=True).decode()
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)\s]+)\)", text)
    assert all(re.match(r"https?://", link) for _, link in links)
    pictures = [link for mark, link in links if mark]
    assert pictures == [f"{REPOSITORY}/raw/v0.1.0/examples/pictures/shortcut.png"]
    assert f"{REPOSITORY}/blob/v0.1.0/docs/files.md#check-finished-runs" in {link for _, link in links}
    assert f"Issues, {REPOSITORY}/issues" in metadata.get_all("Project-URL")


def test_the_wheel_has_the_package_and_nothing_else(dist):
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"lightning_saliency", "lightning_saliency-0.1.0.dist-info"}
    assert {"lightning_saliency/py.typed", "lightning_saliency/report/templates/page.html"} <= set(names)


def test_the_archive_can_be_built_again(dist):
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        names = {name.partition("/")[2] for name in members.getnames()}
    assert {"pyproject.toml", "setup.py", "README.md", "LICENSE", "PKG-INFO"} <= names


def test_installing_it_brings_what_the_design_says(metadata):
    needs = [need for need in metadata.get_all("Requires-Dist") if "extra ==" not in need]
    assert {re.split(r"[^\w-]", need)[0] for need in needs} == set(" ".join(CORE).split())


def test_every_dependency_has_a_lower_bound_so_that_the_lowest_versions_can_be_installed(metadata):
    needs = [need for need in metadata.get_all("Requires-Dist") if "extra ==" not in need]
    assert [need for need in needs if ">=" not in need] == []


def test_continuous_integration_takes_the_lowest_versions_from_the_project():
    """Of a wheel uv takes the newest dependencies, whatever the resolution."""
    steps = workflow("test")["jobs"]["wheel"]["steps"]
    commands = [step["run"] for step in steps if "uv pip" in step.get("run", "")]
    compile_bounds, install = commands
    assert "--resolution ${{ matrix.resolution }} pyproject.toml --output-file versions.txt" in compile_bounds
    assert "--constraint versions.txt dist/*.whl" in install


def test_the_site_is_deployed_in_a_folder_for_each_version():
    steps = workflow("site")["jobs"]["deploy"]["steps"]
    of_branch, of_tag = [step for step in steps if "mike deploy" in step.get("run", "")]
    assert "tag" in of_branch["if"]
    assert "--push" in of_branch["run"]
    assert '--push --update-aliases "${GITHUB_REF_NAME#v}" latest' in of_tag["run"]


def test_the_installed_version_is_known():
    assert re.match(r"\d+", lightning_saliency.__version__)


def test_the_citation_has_the_four_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    papers = {identifier["value"] for paper in citation["references"] for identifier in paper["identifiers"]}
    assert papers == {f"arXiv:{number}" for number in ("2404.15564", "2309.12913", "2406.01274", "2012.00362")}


def test_only_a_tag_is_published_with_attestations():
    release = workflow("release")
    publish = release["jobs"]["publish"]
    assert publish["if"] == "github.event_name == 'push'"
    assert publish["needs"] == "build"
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["steps"][-1]["with"]["attestations"] is True
    # YAML reads the key `on` as a truth value.
    assert release[True]["push"] == {"tags": ["v*"]}
