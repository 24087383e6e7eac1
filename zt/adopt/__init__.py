"""`zt adopt`: what lives in a cluster already, and how its namespaces become the platform's, one at a time."""
