"""`uslm models ...`: pretrained models on this machine, a file for each command."""
