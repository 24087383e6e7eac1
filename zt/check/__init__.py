"""`zt check`: says what admission would refuse in a plan, before anything is applied."""
