"""hecc's own device: kernels in C++, on SEAL's representation, without SEAL."""
