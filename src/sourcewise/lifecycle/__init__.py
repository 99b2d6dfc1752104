"""One model's life: train one strategy on all rows; sample and score any run that holds models."""
