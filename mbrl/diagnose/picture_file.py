"""Pictures as files that are there in whole or not at all."""

import io
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure as Picture

from mbrl.core.errors import ConfigError
from mbrl.core.files import write_output


def write_picture(picture: Picture, path: Path | str, *, dpi: int) -> None:
    """Write a picture in the format its file's name ends in, and close it.

    Raises ConfigError for formats that are not known, and for a file that cannot be written; an old one is then as
    it was.
    """
    path, buffer = Path(path), io.BytesIO()
    kind = path.suffix.lower().removeprefix(".")
    known = sorted(picture.canvas.get_supported_filetypes())
    try:
        if kind not in known:
            raise ConfigError(f"{path}: no picture is called so; the name ends in .{', .'.join(known)}")
        picture.savefig(buffer, format=kind, dpi=dpi)
    finally:
        plt.close(picture)
    write_output(path, buffer.getvalue())
