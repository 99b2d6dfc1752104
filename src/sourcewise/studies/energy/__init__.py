"""Energy-based models beside the theory."""
