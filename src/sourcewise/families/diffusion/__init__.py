"""Class-conditional diffusion, of images and of columns of numbers."""
