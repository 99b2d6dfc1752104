"""Flow matching that stops believing some of the labels."""
