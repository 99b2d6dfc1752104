"""Where separate overtakes pooled on a data set."""
