"""Nodes that stand for others: branches, loops, recurrent layers, quantised layers, and functions of ONNX."""
