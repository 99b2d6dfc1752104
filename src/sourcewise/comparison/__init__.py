"""The main job: several strategies, one data set, one family, evidence per source, a verdict."""
