"""What comparisons and trainings share: a job, its splits, encoded rows, trained strategies."""
