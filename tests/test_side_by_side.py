"""`pytest --jobs`: what is run side by side is reported as if it were run one after the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from sgpshop.environment import ROOT

TESTS = """
import os, pytest

@pytest.fixture(scope="module")
def opened():
    yield
    print("given back")

@pytest.mark.parametrize("number", range(30))
def test_well(number, opened, tmp_path):
    assert tmp_path.is_dir()

def test_fails(opened):
    print("said before")
    assert 1 == 2

@pytest.mark.skip(reason="of its reason")
def test_skipped(): pass
"""


def run(folder: Path, *options: str, **files: str) -> tuple[int, str]:
    """What pytest says of these files, and its exit code."""
    for name, content in files.items():
        (folder / f"test_{name}.py").write_text(content)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.side_by_side", "--jobs", "3", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_each_is_run_once_and_told(tmp_path: Path) -> None:
    code, said = run(tmp_path, "-rs", one=TESTS, two=TESTS)
    assert code == 1
    assert re.search(r"2 failed, 60 passed, 2 skipped in", said), said
    assert "of its reason" in said
    assert said.count("Captured stdout call") == 2


def test_whoever_takes_its_process_along_has_failed(tmp_path: Path) -> None:
    code, said = run(tmp_path, one=TESTS, two="import os\ndef test_dies(): os._exit(0)")
    assert code == 1
    assert re.search(r"2 failed, 30 passed, 1 skipped in", said), said
    assert "its process ended during this test" in said


def test_what_nobody_is_left_to_run_has_failed(tmp_path: Path) -> None:
    dies = (
        "import os, pytest\n@pytest.mark.parametrize('n', range(99))\ndef test_dies(n): os._exit(0)"
    )
    code, said = run(tmp_path, "-q", one=dies)
    assert code == 1
    assert re.search(r"^99 failed in", said, re.MULTILINE), said


def test_a_file_that_cannot_be_loaded_ends_it_all(tmp_path: Path) -> None:
    code, said = run(tmp_path, one=TESTS, two="import nothing_of_the_kind")
    assert code == 2
    assert "nothing_of_the_kind" in said


def test_the_first_that_fails_may_end_it_all(tmp_path: Path) -> None:
    slow = "import time, pytest\n@pytest.mark.parametrize('n', range(99))\ndef test_waits(n): time.sleep(1)"
    code, said = run(tmp_path, "-x", one="def test_fails(): assert False", two=slow)
    assert code == 1
    assert "stopping after 1 failures" in said
