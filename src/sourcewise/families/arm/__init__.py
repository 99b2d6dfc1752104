"""The arm family: the paper's autoregressive model of sequences of one length."""
