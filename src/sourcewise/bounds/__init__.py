"""What `sourcewise bound` asks and prints; the numbers themselves are those of `theory`."""
