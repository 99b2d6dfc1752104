"""What families of denoisers share: networks, settings, the bound, draws."""
