"""Where recordings go: one name, the file formats people read."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.joint import Layout
from mbrl.datasets.recording import Recording
from mbrl.datasets.write_hdf5 import check_file, write_hdf5
from mbrl.run.envs import make_native

FORMATS = ("hdf5", "minari")


@dataclass(frozen=True)
class Outputs:
    """Targets of a collection.

    folder: of the HDF5 files, named after the dataset's id. formats: any of FORMATS; by default both, and for
    several agents hdf5 alone. minari_root: folder of Minari datasets, None for Minari's own. minari_format: hdf5 or
    arrow. next_observations: stored in the
    HDF5 file, or left out for size (Minari needs no such column).
    """

    folder: Path
    formats: tuple[str, ...] | None = None
    overwrite: bool = False
    next_observations: bool = True
    minari_root: Path | None = None
    minari_format: str = "hdf5"

    def file(self, dataset_id: str) -> Path:
        """HDF5 path of a dataset: collected/Hopper-v5/medium-v0 is <folder>/hopper-v5-medium-v0.hdf5."""
        return self.folder / f"{'-'.join(dataset_id.split('/')[1:]).lower()}.hdf5"

    def check(self, dataset_ids: Iterable[str], layout: Layout | None = None) -> None:
        """Raise ConfigError now for what could not be written later. layout: of several agents."""
        formats = self._formats(layout)
        if layout is not None and "minari" in formats:
            raise ConfigError(
                f"Minari has no form for data of {layout.agents} agents; write hdf5 alone (--formats hdf5)"
            )
        for name in formats:
            if name not in FORMATS:
                raise ConfigError(unknown_name("format", name, FORMATS))
        for dataset_id in dataset_ids:
            if "hdf5" in formats:
                check_file(self.file(dataset_id), overwrite=self.overwrite)
            if "minari" in formats:
                from mbrl.datasets.write_minari import check_minari

                options = {"root": self.minari_root, "data_format": self.minari_format}
                check_minari(dataset_id, overwrite=self.overwrite, **options)

    def write(self, recording: Recording) -> list[Path]:
        """Write every format; returns the paths."""
        paths, formats = [], self._formats(recording.layout)
        if "hdf5" in formats:
            options = {"overwrite": self.overwrite, "next_observations": self.next_observations}
            paths.append(write_hdf5(self.file(recording.dataset_id), recording, **options))
        if "minari" in formats:
            from mbrl.datasets.write_minari import write_minari

            env = make_native(recording.env)
            options = {"root": self.minari_root, "data_format": self.minari_format}
            paths.append(write_minari(recording, env, overwrite=self.overwrite, **options))
            env.close()
        return paths

    def _formats(self, layout: Layout | None) -> tuple[str, ...]:
        default = FORMATS if layout is None else ("hdf5",)
        return default if self.formats is None else self.formats
