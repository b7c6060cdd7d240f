"""Hold-out error of every member of an ensemble while it is fitted, for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.utils.tensorboard import SummaryWriter


class FitLog:
    """An `on_epoch` of mbrl.dynamics.fit that writes <run>/tensorboard/dynamics; nothing if no fit takes place."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder) / "tensorboard" / "dynamics"
        self.writer: SummaryWriter | None = None

    def __enter__(self) -> "FitLog":
        return self

    def __call__(self, info: Mapping[str, Any]) -> None:
        """One curve a member and stacked model; info as `fit` gives it."""
        self.writer = self.writer or SummaryWriter(self.folder)
        for name in ("holdout_mse", "train_nll"):
            for s, members in enumerate(info[name].tolist()):
                for e, value in enumerate(members):
                    self.writer.add_scalar(f"dynamics/{name}/model_{s}_member_{e}", value, info["epoch"])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.writer is not None:
            self.writer.close()
