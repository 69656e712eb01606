"""Hardware and software designed together: the weight codec and sparse int8 products, exact to the bit."""
