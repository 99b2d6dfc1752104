"""Known conditional distributions that simulations draw from."""
