"""The picture of the study mamujoco: everything named once, and nothing hidden behind a legend."""

import matplotlib.pyplot as plt
import pytest

from mbrl.study import augmentation_picture
from mbrl.study.augmentation_picture import draw_augmentation
from tests.study.rows import cell


def rows(learners=("matd3_bc", "masac"), datasets=("a",)):
    kinds = [(learner, kind) for learner in learners for kind in ("none", "static", "coda")]
    settings = [*kinds, ("joint_bc", "none")]
    return [
        cell({"learner": learner, "augmentation": kind}, level=i + 1.0)
        | {"dataset": dataset, "action_distance": None if kind == "none" else [0.2, 0.3, 0.4]}
        for dataset in datasets
        for i, (learner, kind) in enumerate(settings)
    ]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    def draw(rows):
        kept = []
        monkeypatch.setattr(
            augmentation_picture, "write_picture", lambda figure, path, dpi: kept.append(figure)
        )
        draw_augmentation(rows, tmp_path / "a.png")
        kept[0].canvas.draw()
        return kept[0]

    yield draw
    plt.close("all")


def test_learners_and_augmentations_are_named_once_beside_the_panels(drawn):
    figure = drawn(rows())
    left, right = ([text.get_text() for text in legend.get_texts()] for legend in figure.legends)
    assert left[:3] == ["matd3_bc", "masac", "joint_bc"]
    assert right[:3] == ["no augmentation", "static", "CODA"]
    assert [axis.get_legend() for axis in figure.axes] == [None] * 4
    for axis in figure.axes:
        panel = axis.get_window_extent()
        assert not any(legend.get_window_extent().overlaps(panel) for legend in figure.legends)


def test_both_first_panels_say_which_augmentation_a_line_is(drawn):
    returns, distance, *_ = drawn(rows()).axes
    for axis in (returns, distance):
        assert [t.get_text() for t in axis.get_yticklabels()] == ["no augmentation", "static", "CODA"]
    assert distance.get_xlim()[0] == 0


def test_a_line_of_panels_a_dataset_each_with_its_name(drawn):
    figure = drawn(rows(datasets=("a", "b")))
    assert [axis.get_title() for axis in figure.axes[::4]] == ["a", "b"]
    assert len(figure.legends) == 2


def test_one_cell_alone(drawn):
    figure = drawn(rows(learners=())[-1:])
    assert len(figure.axes) == 2
    assert len(figure.legends) == 1
