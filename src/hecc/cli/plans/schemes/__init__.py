"""What commands about plans show of each scheme, where schemes differ."""
