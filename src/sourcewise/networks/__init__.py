"""Networks: `nn.Module`s that know nothing of probability."""
