"""`zt rotate`: gives the generated fields of a secret new values."""
