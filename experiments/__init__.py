"""Scripts that compose the functions and measure."""
