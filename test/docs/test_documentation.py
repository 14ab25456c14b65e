# SPDX-License-Identifier: Apache-2.0
"""What the documentation promises: links lead somewhere, citations name sections, examples run, the README is short."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import seem_ros

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "models" / "clips" / "tabletop" / "JPEGImages" / "demo"


def run(*arguments):
    """The output of a program of examples/ that ends well."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_fits_on_two_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "UPGRADING.md"])
def test_links_of_the_pages_outside_of_the_site_lead_to_files(name):
    # pages of the site are checked when it is built
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / name).read_text()):
        assert (ROOT / target).exists(), f"{name} links to {target}"


def test_every_section_that_the_code_cites_is_in_the_specification():
    sections = set(re.findall(r"^## (\d+)\. ", (ROOT / "docs" / "specification.md").read_text(), re.MULTILINE))
    cited = {}
    for folder in ("seem_ros", "test", "bench"):
        for path in (ROOT / folder).rglob("*.py"):
            for number in re.findall(r"[Ss]pecification section (\d+)", path.read_text()):
                cited.setdefault(number, path)
    assert cited, "nothing cites the specification"
    assert set(cited) <= sections, {number: str(path) for number, path in cited.items() if number not in sections}


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f": {page}\n" not in navigation] == []


def test_nothing_of_the_site_is_loaded_from_elsewhere():
    for path in (ROOT / "docs").rglob("*.md"):
        assert not re.search(r"!\[[^\]]*\]\(https?:|<(img|script|iframe)[^>]*src=.https?:", path.read_text()), path


def test_every_include_of_a_page_is_written_as_the_site_reads_it():
    for path in (ROOT / "docs").rglob("*.md"):
        for line in re.findall(r"^-+ *8 *<.*", path.read_text(), re.MULTILINE):
            name = re.fullmatch(r'--8<-- "([\w./]+)"', line)
            assert name and (ROOT / name.group(1)).exists(), f"{path}: {line}"


def test_every_public_name_is_on_the_page_of_the_python_interface():
    page = (ROOT / "docs" / "reference" / "api.md").read_text()
    assert [name for name in seem_ros.__all__ if not re.search(rf"\b{name}\b", page)] == []


def test_segment_image_answers_its_three_questions(tmp_path):
    said = run("examples/segment_image.py", CLIP / "00000.jpg", "the red mug", tmp_path / "overlay.png")
    assert re.search(r"the red mug: the red mug, \d+ pixels, presence", said), said
    assert len(said.splitlines()) == 3
    assert cv2.imread(str(tmp_path / "overlay.png")).shape == cv2.imread(str(CLIP / "00000.jpg")).shape


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["examples/segment_image.py"], "python examples/segment_image.py photo.jpg"),
        (["examples/segment_image.py", "not_there.jpg", "the red mug", "out.png"], "not_there.jpg"),
        (["examples/segment_image.py", str(CLIP / "00000.jpg"), "", "out.png"], "an empty prompt"),
        (["examples/track_video.py"], "python examples/track_video.py clip.mp4"),
    ],
)
def test_an_example_that_is_called_wrongly_says_so_in_one_line(arguments, words):
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_track_video_follows_one_target_through_a_video(tmp_path):
    pictures = [cv2.imread(str(path)) for path in sorted(CLIP.glob("*.jpg"))[:6]]
    film = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 15, pictures[0].shape[1::-1])
    for picture in pictures:
        film.write(picture)
    film.release()
    said = run("examples/track_video.py", tmp_path / "clip.mp4", "160,130", tmp_path / "out.mp4")
    assert [f"frame {n}: target 1 " in line for n, line in enumerate(said.splitlines())] == [True] * 6, said
    played = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    read, first = played.read()
    assert read and np.abs(first.astype(int) - pictures[0]).max() > 40  # the target is coloured


def test_the_python_example_of_the_readme_runs(tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    picture = tmp_path / "photo.jpg"
    picture.write_bytes((CLIP / "00000.jpg").read_bytes())
    (tmp_path / "example.py").write_text(block.replace("photo.jpg", str(picture)))
    assert "pixels" in run(tmp_path / "example.py")
