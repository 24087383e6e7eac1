"""`zt codeowners`: who reviews each service file, from the table of approvals."""
