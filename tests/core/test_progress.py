"""Progress bars: counted, resumed, silent on request, quiet where nobody watches."""

from mbrl.core.progress import duration, progress


def test_it_counts_from_where_it_resumes(capsys):
    with progress(10, "train", initial=4, mininterval=0) as bar:
        bar.update(6)
        assert bar.n == 10
    assert "train" in capsys.readouterr().err


def test_disabled_it_prints_nothing(capsys):
    with progress(10, "train", enabled=False) as bar:
        bar.update()
        bar.set_postfix_str("return 3")
    assert capsys.readouterr().err == ""


def test_without_a_terminal_it_speaks_at_most_every_half_minute(capsys):
    with progress(100, "train") as bar:
        assert bar.mininterval == 30
        for _ in range(100):
            bar.update()
    assert capsys.readouterr().err.count("\r") <= 3


def test_durations_read_well():
    seconds = (0.5, 89, 90, 5400, 172800, None)
    assert [duration(s) for s in seconds] == ["0.5 s", "89 s", "1.5 min", "1.5 h", "2 d", "?"]
