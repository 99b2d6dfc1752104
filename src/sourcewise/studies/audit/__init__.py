"""Whether verdicts hold: known truths, the whole of `compare`, what a sceptic would count."""
