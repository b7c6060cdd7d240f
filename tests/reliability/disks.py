"""Disks that are full or read-only."""

import contextlib
import errno
import os
import resource

from mbrl.core import files


@contextlib.contextmanager
def file_limit(size):
    """No file may grow beyond `size` bytes: what is written beyond it fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def read_only(monkeypatch):
    """No file can be opened for writing, renamed or put on disk."""

    def refused(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        for place, name in ((files.Path, "write_bytes"), (files.os, "replace"), (files, "flush")):
            patched.setattr(place, name, refused)
        yield
