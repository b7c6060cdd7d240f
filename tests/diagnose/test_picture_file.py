"""Pictures on disk."""

import matplotlib.image
import matplotlib.pyplot as plt
import pytest

from mbrl.core.errors import ConfigError
from mbrl.diagnose.picture_file import write_picture


@pytest.mark.parametrize(("name", "begin"), [("a.png", b"\x89PNG"), ("a.PDF", b"%PDF"), ("a.svg", b"<?xml")])
def test_the_name_says_the_format(tmp_path, name, begin):
    write_picture(plt.figure(), tmp_path / "new" / name, dpi=50)
    assert (tmp_path / "new" / name).read_bytes().startswith(begin)
    assert plt.get_fignums() == []


def test_size_and_ink(tmp_path):
    figure = plt.figure(figsize=(4, 2), facecolor="red")
    write_picture(figure, tmp_path / "a.png", dpi=50)
    found = matplotlib.image.imread(tmp_path / "a.png")
    assert found.shape[:2] == (100, 200)
    assert (found[..., :3] == (1, 0, 0)).all()


@pytest.mark.parametrize("name", ["a.xyz", "a"])
def test_formats_that_are_not_known(tmp_path, name):
    with pytest.raises(ConfigError, match=f"{name}: no picture is called so.*pdf, .*png"):
        write_picture(plt.figure(), tmp_path / name, dpi=50)
    assert not list(tmp_path.iterdir())
    assert plt.get_fignums() == []
