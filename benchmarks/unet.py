"""The U-Net on this machine: images a second, and the share of what convolutions reach alone.

    python benchmarks/unet.py [--threads 1]

*Peak* is the best rate of single 3 x 3 convolutions in the same run, forward, at the widths and
resolutions of the network; a training step is a forward and a backward pass, three times the work
of a forward one. *Stacked* trains ten small networks as one.
"""

import argparse
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sourcewise.networks.layers import reset
from sourcewise.networks.unet import UNet, UNetSizes
from sourcewise.randomness import Noise

SMALL = UNetSizes(16, (1, 1, 2), 1, (4,))  # the family's own for images
CASES = {  # name: sizes, channels, side, batch
    "16 channels, 16 x 16": (SMALL, 3, 16, 64),
    "32 channels, 16 x 16": (UNetSizes(32, (1, 1, 2), 1, (4,)), 3, 16, 64),
    "128 channels, 32 x 32 x 4 (EDM2-XS)": (UNetSizes(128), 4, 32, 4),
}
ROUNDS, LEAST = 3, 1.0  # seconds of a measurement, at least
Made = tuple[UNet, tuple[Tensor, Tensor, Tensor]]


def seconds(work: Callable[[], object]) -> float:
    """Of one call: the best of several rounds."""
    work()
    best = math.inf
    for _ in range(ROUNDS):
        start, calls = time.perf_counter(), 0
        while time.perf_counter() - start < LEAST / ROUNDS or not calls:
            work()
            calls += 1
        best = min(best, (time.perf_counter() - start) / calls)
    return best


def made(sizes: UNetSizes, channels: int, side: int, batch: int) -> Made:
    """A network, and a batch for it."""
    net, noise = UNet(channels, side, sizes, K=10), Noise(0)
    reset(nn.ModuleList([net]), noise)
    label = torch.eye(10)[torch.arange(batch) % 10]
    x, u = noise.of("x").normal(batch, channels, side, side), noise.of("u").normal(batch)
    return net, (x.float(), u.float(), label)


def flops(net: UNet, inputs: tuple[Tensor, ...]) -> float:
    """Of a forward pass."""
    with torch.no_grad(), FlopCounterMode(display=False) as count, sdpa_kernel(SDPBackend.MATH):
        net(*inputs)
    return count.get_total_flops()


def train(net: nn.Module, inputs: tuple[Tensor, ...], dtype: torch.dtype) -> None:
    """A forward and a backward pass."""
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        out = net(*inputs)
    torch.autograd.grad(out.float().square().mean(), list(net.parameters()))


def peak(sizes: UNetSizes, side: int, batch: int) -> float:
    """FLOP/s of the best single convolution among those of the network's levels."""
    best = 0.0
    for level, width in enumerate(sizes.channels):
        conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        x = Noise(1).normal(batch, width, side >> level, side >> level).float()
        with torch.no_grad():
            took = seconds(lambda conv=conv, x=x: conv(x))
        best = max(best, 2 * 9 * width**2 * x[:, 0].numel() / took)
    return best


def stacked(S: int) -> tuple[float, float]:
    """Images a second of S networks, one after another and as one."""
    net, inputs = made(*CASES["16 channels, 16 x 16"])
    one = seconds(lambda: train(net, inputs, torch.float32))
    many = {n: torch.stack([p.detach()] * S).requires_grad_() for n, p in net.named_parameters()}
    wide = tuple(v.expand(S, *v.shape).contiguous() for v in inputs)

    def together() -> None:
        out = functional_call(net, many, wide)
        torch.autograd.grad(out.square().mean(), list(many.values()))

    images = S * len(inputs[0])
    return images / (S * one), images / seconds(together)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="The U-Net on this machine")
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    head = "network", "parameters", "training/s", "GFLOP/s", "of peak", "forward/s", "bf16"
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
    for name, (sizes, channels, side, batch) in CASES.items():
        net, inputs = made(sizes, channels, side, batch)
        step = seconds(lambda net=net, inputs=inputs: train(net, inputs, torch.float32))
        half = math.nan
        if "AVX512" in torch.backends.cpu.get_cpu_capability():  # others have no bf16 to gain from
            half = seconds(lambda net=net, inputs=inputs: train(net, inputs, torch.bfloat16))
        with torch.no_grad():
            forward = seconds(lambda net=net, inputs=inputs: net(*inputs))
        rate = 3 * flops(net, inputs) / step
        share = rate / peak(sizes, side, batch)
        gain = "not here" if math.isnan(half) else f"{step / half:.2f} times"
        parameters = sum(p.numel() for p in net.parameters())
        print(
            f"| {name} | {parameters / 1e6:.2f} M | {batch / step:.0f} | {rate / 1e9:.1f} "
            f"| {share:.0%} | {batch / forward:.0f} | {gain} |",
            flush=True,
        )
    alone, together = stacked(10)
    print(f"ten networks of 16 channels: {alone:.0f} images/s one after another, ", end="")
    print(f"{together:.0f} stacked: {together / alone:.2f} times")


if __name__ == "__main__":
    main()
