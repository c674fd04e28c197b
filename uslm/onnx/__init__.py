"""The default system without PyTorch: its exported graphs on ONNX Runtime, the rest in NumPy."""
