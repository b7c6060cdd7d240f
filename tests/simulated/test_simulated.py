"""The simulated device keeps the rules that a CUDA device has; where there is one, the rules are asked of it."""

import copy
import io

import pytest
import torch
from torch import nn

from tests.simulated import Cuda, SimulatedCuda, Waited
from tests.simulated.graph import Gone

here = pytest.mark.usefixtures("cuda")


@here
def test_tensors_are_where_they_were_made_or_moved():
    made = torch.zeros(2, device="cuda")
    assert (made.device.type, made.is_cuda, made.is_cpu) == ("cuda", True, False)
    assert not torch.zeros(2).is_cuda
    for there in (
        torch.ones(2).cuda(),
        torch.ones(2).to("cuda"),
        torch.ones(2).to(made),
        torch.tensor([1.0], device="cuda"),
        torch.zeros_like(made),
        torch.zeros_like(torch.ones(2), device="cuda"),
        made.new_tensor([1.0]),
        made.new_zeros(2),
        (made + 1)[:1].view(1, 1),
        copy.deepcopy(made),
        nn.Linear(2, 2).to("cuda").weight,
        copy.deepcopy(nn.Linear(2, 2, device="cuda")).weight,
    ):
        assert there.is_cuda
    for back in (made.cpu(), made.to("cpu"), torch.zeros_like(made, device="cpu")):
        assert not back.is_cuda


@here
def test_gradients_are_where_their_tensors_are():
    p = nn.Parameter(torch.ones(4, device="cuda"))
    left, _ = (p * 2).split(2)  # the other half's gradient is made of nothing
    left.sum().backward()
    assert p.grad.is_cuda
    assert p.grad.tolist() == [2, 2, 0, 0]


@here
def test_what_is_in_two_places_cannot_be_computed_with():
    there = torch.ones(2, device="cuda")
    for mixed in (lambda: there + torch.ones(2), lambda: torch.cat([there, torch.ones(2)])):
        with pytest.raises(RuntimeError, match="same device|one device"):
            mixed()
    assert (there * torch.tensor(2.0)).tolist() == [2, 2]  # a number of the host is no more than a number
    assert there[torch.tensor([0])].is_cuda  # indices are brought along


@here
def test_numpy_sees_the_hosts_tensors_alone():
    with pytest.raises(TypeError, match="can't convert cuda"):
        torch.ones(2, device="cuda").numpy()
    assert torch.ones(2, device="cuda").cpu().numpy().sum() == 2


@here
def test_generators_draw_on_their_own_device():
    with pytest.raises(RuntimeError, match="generator|Generator"):
        torch.zeros(2, device="cuda").normal_(generator=torch.Generator())
    with pytest.raises(RuntimeError, match="generator|Generator"):
        torch.randn(2, generator=torch.Generator("cuda"))
    assert torch.randn(2, generator=torch.Generator("cuda"), device="cuda").is_cuda


WAITS = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool((x > 0).any()),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "a number brought": lambda x: torch.tensor(1.0, device="cuda"),
    "a tensor brought": lambda x: torch.ones(3).to("cuda"),
    "copy_ from the host": lambda x: x.copy_(torch.ones(3)),
    "a mask": lambda x: x[x > 0],
    "nonzero": lambda x: x.nonzero(),
}


@pytest.mark.parametrize("name", WAITS)
def test_the_host_waits_and_may_be_forbidden_to(cuda: Cuda, name):
    x = torch.ones(3, device="cuda")
    WAITS[name](x)
    with cuda.no_waiting():
        (x * 2).clamp_(min=0).index_select(0, torch.zeros(1, dtype=torch.long, device="cuda"))
        with pytest.raises(RuntimeError):
            WAITS[name](x)
    WAITS[name](x)


@here
def test_a_graph_does_its_operations_again_where_it_did_them():
    total, step = torch.zeros(2, device="cuda"), torch.ones(2, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        total += step
        found = total * 2
    assert total.tolist() == [0, 0]  # nothing ran
    graph.replay()
    step.fill_(3)
    graph.replay()
    assert total.tolist() == [4, 4]
    assert found.tolist() == [8, 8]


@here
def test_a_graph_knows_nothing_of_python():
    x, factor = torch.ones(1, device="cuda"), 2.0
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        x.mul_(factor)
    factor, old, x = 5.0, x, torch.ones(1, device="cuda")
    graph.replay()
    assert (x.item(), old.item(), factor) == (1, 2, 5)


@pytest.mark.parametrize("step", [*WAITS.values(), lambda x: x.normal_(generator=torch.Generator("cuda"))])
def test_a_capture_refuses_what_waits_and_what_draws_and_leaves_no_trace(cuda: Cuda, step):
    if not isinstance(cuda, SimulatedCuda):
        pytest.skip("a capture that failed leaves a real device's stream in a state of its own")
    x = torch.ones(3, device="cuda")

    def capture():
        with torch.cuda.graph(torch.cuda.CUDAGraph()):
            x.add_(1)
            step(x)

    with pytest.raises(Waited):
        capture()
    assert x.tolist() == [1, 1, 1]


def test_a_graph_keeps_its_own_memory_and_no_other(cuda: Cuda):
    if not isinstance(cuda, SimulatedCuda):
        pytest.skip("a real device reads whatever is there by then")
    x, weight = torch.ones(2, device="cuda"), torch.ones(2, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        middle = (x * 2)[1:]
        found = middle + weight[:1]
    del middle
    graph.replay()
    assert found.tolist() == [3]
    weight = torch.zeros(2, device="cuda")  # another one of the same name
    with pytest.raises(Gone, match=r"a tensor of size \(2,\) that was freed"):
        graph.replay()


@here
def test_a_file_holds_the_hosts_tensors():
    file = io.BytesIO()
    torch.save({"x": torch.ones(2, device="cuda").cpu()}, file)
    file.seek(0)
    assert not torch.load(file, weights_only=True)["x"].is_cuda


def test_afterwards_torch_is_as_it_was():
    before = torch.Generator, torch.cuda.is_available, torch.cuda.graph
    with SimulatedCuda() as cuda:
        assert torch.cuda.is_available()
        torch.ones(1, device="cuda").item()
        assert cuda.waits == ["aten._local_scalar_dense.default"]
    assert before == (torch.Generator, torch.cuda.is_available, torch.cuda.graph)
    if not torch.cuda.is_available():
        with pytest.raises((AssertionError, RuntimeError)):
            torch.zeros(1, device="cuda")
