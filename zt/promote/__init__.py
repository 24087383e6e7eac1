"""`zt promote`: moves a rule to its next phase if enough workloads comply."""
