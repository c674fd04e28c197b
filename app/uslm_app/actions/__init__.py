"""What the commands do once all options are checked; here PyTorch is loaded."""
