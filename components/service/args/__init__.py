"""The arguments of `SecureService`, made of service files and of the platform's terms."""
