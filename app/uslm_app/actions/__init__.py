"""Work of the commands once all options are checked; here PyTorch is loaded."""
