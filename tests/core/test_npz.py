"""Arrays of npz files: all or some of them; and every error that a damaged archive can raise inside numpy."""

import io
import struct
import zipfile

import numpy as np
import pytest

from mbrl.core.errors import DataError
from mbrl.core.npz import DAMAGE, read_npz_arrays

DIRECTORY = b"PK\x01\x02"


def npy(header, data=b""):
    """A member with this text for type and shape."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def archive(member, method=zipfile.ZIP_STORED, name="a.npy"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        file.writestr(name, member)
    return bytearray(buffer.getvalue())


def changed(data, place, number):
    """The archive with another 16-bit number in its directory."""
    struct.pack_into("<H", data, data.index(DIRECTORY) + place, number)
    return data


def overwritten(data, start, text):
    data[start : start + len(text)] = text
    return data


SHAPE = "{'descr': '<f8', 'fortran_order': False, 'shape': (%d,)}\n"
SOUND = npy(SHAPE % 1, bytes(8))
SPOILED = {
    "empty": (EOFError, b""),
    "text": (ValueError, b"hello"),
    "cut": (zipfile.BadZipFile, archive(SOUND)[:60]),
    "checksum": (zipfile.BadZipFile, overwritten(archive(SOUND), 40, b"\x01")),
    "encrypted": (RuntimeError, changed(archive(SOUND), 8, 1)),
    "method": (NotImplementedError, changed(archive(SOUND), 10, 99)),
    "bzip2": (OSError, changed(archive(b"x" * 40), 10, 12)),
    "lzma": (Exception, changed(archive(b"\x09\x04\x05\x00\xff" + b"x" * 40), 10, 14)),
    "deflate": (Exception, overwritten(archive(SOUND, zipfile.ZIP_DEFLATED), 35, b"\xff" * 10)),
    "brackets": (Exception, archive(npy("{'descr': \n"))),
    "keys": (TypeError, archive(npy("{'descr': 5, 3: False}\n"))),
    "size": (OverflowError, archive(npy(SHAPE % 2**70))),
    "memory": (MemoryError, archive(npy(SHAPE % 2**45))),
    "objects": (ValueError, archive(npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n"))),
    "no array": (None, archive(b"text", name="a")),
}


def test_all_or_some(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.array("text"))
    found, keys = read_npz_arrays(tmp_path / "a.npz")
    assert keys == [*found] == ["x", "y"]
    assert found["x"].tolist() == [0, 1, 2]
    assert str(found["y"]) == "text"
    found, keys = read_npz_arrays(tmp_path / "a.npz", {"x": "mine", "z": "other"})
    assert (keys, [*found]) == (["x", "y"], ["mine"])


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_archive_is_named(tmp_path, name):
    raised, data = SPOILED[name]
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.npz") as told:
        read_npz_arrays(path)
    assert raised is None or isinstance(told.value.__cause__, raised)


def test_the_examples_raise_what_the_list_has(tmp_path):
    """But for those whose way there depends on the version of Python or numpy."""
    path, seen = tmp_path / "a.npz", set()
    for _, data in SPOILED.values():
        path.write_bytes(data)
        with pytest.raises(DataError) as told:
            read_npz_arrays(path)
        seen |= {kind for kind in DAMAGE if isinstance(told.value.__cause__, kind)}
    assert {kind.__name__ for kind in set(DAMAGE) - seen} <= {"SyntaxError", "TokenError", "KeyError"}


@pytest.mark.parametrize("key", ["../a", "/a", "C:\\a", "a/../../b"])
def test_names_that_are_paths_to_elsewhere(tmp_path, key):
    (tmp_path / "a.npz").write_bytes(archive(SOUND, name=f"{key}.npy"))
    with pytest.raises(DataError, match="a path to elsewhere"):
        read_npz_arrays(tmp_path / "a.npz")
