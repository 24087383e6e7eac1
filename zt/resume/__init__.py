"""`zt resume`: a stack whose update was killed goes on."""
