"""The External Secrets Operator, on stacks whose secrets it delivers."""
