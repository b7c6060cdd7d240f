import pytest
import torch

import mbrl.dynamics.routing as module
from mbrl.dynamics.routing import counted, route, tile_rows, tiled

WAYS = [counted, tiled]


def draws(n, count, key=0):
    g = torch.Generator().manual_seed(key)
    return torch.randn(n, 3, generator=g), torch.randint(count, (n,), generator=g)


def affine(count):
    """Network i: x W_i, checked to be asked for tiles that fit."""
    weights = torch.randn(count, 3, 2, generator=torch.Generator().manual_seed(9))

    def evaluate(x, pick):
        own = pick(weights)
        assert x.dim() == 3
        assert len(own) == len(x)
        return x @ own

    return weights, evaluate


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("n", "count"), [(1, 1), (1, 7), (5, 1), (40, 4), (3000, 7), (20, 50)])
def test_every_row_passes_through_its_own_network(way, n, count):
    x, network = draws(n, count)
    weights, evaluate = affine(count)
    want = torch.stack([row @ weights[i] for row, i in zip(x, network.tolist(), strict=True)])
    torch.testing.assert_close(way(x, network, count, evaluate), want)
    torch.testing.assert_close(route(x, network, count, evaluate), want)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("only", [0, 3, 6])
def test_networks_that_no_row_names_do_no_harm(way, only):
    x, _ = draws(200, 7)
    weights, evaluate = affine(7)
    network = torch.full((200,), only)
    torch.testing.assert_close(way(x, network, 7, evaluate), x @ weights[only])


@pytest.mark.parametrize("way", WAYS)
def test_work_is_done_in_blocks_of_bounded_size(way, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", 256)
    monkeypatch.setattr(module, "MOST_ROWS", 256)
    x, network = draws(1000, 3)
    weights, evaluate = affine(3)
    sizes = []

    def watched(rows, pick):
        sizes.append(rows.shape[0] * rows.shape[1])
        return evaluate(rows, pick)

    torch.testing.assert_close(way(x, network, 3, watched), (x.unsqueeze(1) @ weights[network]).squeeze(1))
    assert max(sizes) <= 256
    assert sum(sizes) <= 1000 + 3 * tile_rows(1000, 3)


def test_shapes_of_tiles_do_not_depend_on_who_is_named():
    shapes = []
    for key in range(3):
        x, network = draws(500, 5, key)
        for named in (network, torch.zeros_like(network)):
            seen = []
            tiled(x, named, 5, lambda rows, pick, seen=seen: seen.append(rows.shape) or rows)
            shapes.append(seen)
    assert all(s == shapes[0] for s in shapes)


@pytest.mark.parametrize(
    ("n", "count", "size"), [(1, 7, 16), (300, 7, 16), (2000, 7, 128), (50_000, 5, 512), (10**6, 7, 512)]
)
def test_tiles_are_small_beside_what_a_network_has(n, count, size):
    assert tile_rows(n, count) == size


@pytest.mark.parametrize("way", WAYS)
def test_a_row_that_is_not_finite_stays_alone(way):
    x, network = draws(100, 4)
    _, evaluate = affine(4)
    x[17] = torch.nan
    found = way(x, network, 4, evaluate)
    assert found[17].isnan().all()
    assert found.isfinite().all(-1).sum() == 99


@pytest.mark.usefixtures("cuda")
def test_tiles_can_be_captured_in_a_graph():
    x, network = (t.cuda() for t in draws(500, 5))
    weights = torch.randn(5, 3, 2, device="cuda")

    def evaluate(rows, pick):
        return rows @ pick(weights)

    route(x, network, 5, evaluate)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = route(x, network, 5, evaluate)
    network.copy_(draws(500, 5, key=1)[1])
    graph.replay()
    torch.testing.assert_close(out, (x.unsqueeze(1) @ weights[network]).squeeze(1))
