"""Figures, one file each: `draw(..., ax)` fills Matplotlib axes and returns them."""
